"""``Turn``: a lock that never travels with what it guards."""

import threading
from types import TracebackType


class Turn:
    """A lock for one user at a time; a copied or unpickled one is new and free."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type["Turn"], tuple[()]]:
        """Copy and pickle as a fresh lock."""
        return Turn, ()
