"""``TokenBudget``: the number of tokens per batch, reduced when memory does not suffice."""

import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

from layerfuse.core.errors import OutOfMemoryError

# torch has a special error only for accelerators; on a CPU the allocator's message must be matched.
_WORDS = ("not enough memory", "can't allocate memory", "out of memory")

# On a CPU a batch fits the caches of a core. Larger batches of short texts are not faster, and need
# more memory, the more the wider the layers are.
_CPU_VALUES = 1024 * 384  # values of one layer
_CPU_TOKENS = 512, 1024  # lower and upper limit
_CUDA_TOKENS = 16_384

Result = TypeVar("Result")


class TokenBudget:
    """Number of tokens per batch, padding included; a reduction lasts as long as this object.

    Parameters
    ----------
    device : str
        Device type, which sets the initial number.
    name : str
        Name of the backbone, for messages.
    width : int
        Width of its layers; the wider, the fewer tokens on a CPU.

    Attributes
    ----------
    tokens : int
        Tokens per batch.
    was_short : bool
        Whether memory did not suffice once; then batches run one at a time.
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
        """Run a batch; if memory does not suffice, halve the budget and return None.

        Parameters
        ----------
        run : callable
            Runs the batch.
        n_texts, n_tokens : int
            Shape of the batch.
        alone : bool
            Whether no other batch runs in parallel. If one does, a single text may still fit later.

        Returns
        -------
        Any or None
            Result of ``run``; None if memory did not suffice and batches must be smaller.

        Raises
        ------
        OutOfMemoryError
            If memory does not suffice even for a single text.
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
        warned, self.was_short = self.was_short, True
        if not warned:
            warnings.warn(
                f"{self.name}: memory does not suffice for {n_texts} texts of {n_tokens} tokens "
                "at once; continuing with smaller batches.",
                stacklevel=2,
            )


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory does not suffice."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in _WORDS)
