"""``TokenBudget``: how many tokens run at once, fewer after memory did not suffice."""

import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

from layerfuse.core.errors import OutOfMemoryError

# torch has an error of its own for accelerators only; on a CPU the allocator's words must do.
_WORDS = ("not enough memory", "can't allocate memory", "out of memory")

# On a CPU what fits the caches of a core: larger batches of short texts gain nothing, and take
# the more memory the wider the layers are.
_CPU_VALUES = 1024 * 384  # of one layer
_CPU_TOKENS = 512, 1024  # least and most
_CUDA_TOKENS = 16_384

Result = TypeVar("Result")


class TokenBudget:
    """Tokens of one batch, padding included; what was learnt of memory lasts as long as this does.

    Parameters
    ----------
    device : str
        Kind of device; decides what to start with.
    name : str
        Of the backbone, for messages.
    width : int
        Of its layers; the wider, the fewer tokens on a CPU.

    Attributes
    ----------
    tokens : int
        Of one batch.
    was_short : bool
        Whether memory once did not suffice: then batches run one at a time.
    """

    def __init__(self, device: str, name: str, width: int) -> None:
        least, most = _CPU_TOKENS
        on_cpu = min(most, max(least, _CPU_VALUES // width))
        self.tokens = _CUDA_TOKENS if device == "cuda" else on_cpu
        self.name = name
        self.was_short = False

    def attempt(
        self, run: Callable[[], Result], n_texts: int, n_tokens: int, *, alone: bool = True
    ) -> Result | None:
        """Run a batch; where memory does not suffice, halve the budget instead.

        Parameters
        ----------
        run : callable
            Runs the batch.
        n_texts, n_tokens : int
            Shape of the batch.
        alone : bool
            Whether nothing else runs beside it: else a text alone may yet fit after the others.

        Returns
        -------
        Any or None
            What it returned; None if memory did not suffice: make smaller batches.

        Raises
        ------
        OutOfMemoryError
            If memory did not suffice for one text alone.
        """
        try:
            return run()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self._halve(n_texts, n_tokens, alone=alone)
            return None

    def _halve(self, n_texts: int, n_tokens: int, *, alone: bool) -> None:
        if n_texts == 1 and alone:
            raise OutOfMemoryError(
                f"{self.name}: memory does not suffice for one text of {n_tokens} tokens. "
                "Use a smaller max_tokens or a smaller backbone."
            )
        self.tokens = min(self.tokens, max(1, n_texts * n_tokens // 2))
        told, self.was_short = self.was_short, True
        if not told:
            warnings.warn(
                f"{self.name}: memory does not suffice for {n_texts} texts of {n_tokens} tokens "
                "at once; going on with smaller batches.",
                stacklevel=2,
            )


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory does not suffice."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in _WORDS)
