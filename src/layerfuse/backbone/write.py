"""Writes model and tokenizer for transformers; every failure of the disk is an ``OSError``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError


def write_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the weights, their configuration and the tokenizer.

    Parameters
    ----------
    model : PreTrainedModel
        Must not be run by another thread.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.
    folder : Path
        Created if necessary.

    Raises
    ------
    OSError
        If writing fails, or the folder's name is not valid UTF-8.
    """
    try:
        with _as_loaded(model):
            model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except Exception as err:
        # For I/O errors, safetensors raises SafetensorError, and tokenizers a bare Exception.
        if isinstance(err, SafetensorError) or type(err) is Exception:
            raise OSError(f"{folder} cannot be written: {err}") from err
        if isinstance(err, UnicodeEncodeError):  # tokenizers accepts only UTF-8 paths
            raise OSError(f"{folder!r} cannot be written: its name is not valid UTF-8.") from err
        raise


@contextmanager
def _as_loaded(model: Any) -> Iterator[None]:
    """Temporarily undo the rescaling of weights that RWKV does in its first forward pass.

    RWKV divides the weights of deeper blocks by powers of 2, and would divide saved ones again.

    Parameters
    ----------
    model : PreTrainedModel
        Model of any family; all but RWKV are left unchanged. ``Blocks.turn`` must be held.

    Yields
    ------
    None
        While it is active.
    """
    if model.config.model_type != "rwkv":
        yield
        return
    was_rescaled = model.layers_are_rescaled
    model.train()
    model._rescale_layers()  # noqa: SLF001 - no public method does this
    model.eval()
    try:
        yield
    finally:
        if was_rescaled:
            model._rescale_layers()  # noqa: SLF001
