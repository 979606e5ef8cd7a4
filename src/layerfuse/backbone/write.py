"""Write model and tokenizer as transformers reads them, or say in one way that the disk refuses."""

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
        Nobody may run it meanwhile.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.
    folder : Path
        Made if need be.

    Raises
    ------
    OSError
        If the disk refuses, or the folder's name is no UTF-8.
    """
    try:
        with _as_loaded(model):
            model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except Exception as err:
        # How the two libraries in Rust tell what the disk says: the second has no error of its own.
        if isinstance(err, SafetensorError) or type(err) is Exception:
            raise OSError(f"{folder} cannot be written: {err}") from err
        if isinstance(err, UnicodeEncodeError):  # tokenizers takes no other paths
            raise OSError(f"{folder!r} cannot be written: its name is no UTF-8.") from err
        raise


@contextmanager
def _as_loaded(model: Any) -> Iterator[None]:
    """Undo for a while what a model does to its weights when it runs for the first time.

    RWKV divides those of deeper blocks by powers of 2, and would do so again to what was saved.

    Parameters
    ----------
    model : PreTrainedModel
        Of any family; all but RWKV stay as they are. Its turn must be held.

    Yields
    ------
    None
        While it lasts.
    """
    if model.config.model_type != "rwkv":
        yield
        return
    was_rescaled = model.layers_are_rescaled
    model.train()
    model._rescale_layers()  # noqa: SLF001 - the forward pass alone calls it in public
    model.eval()
    try:
        yield
    finally:
        if was_rescaled:
            model._rescale_layers()  # noqa: SLF001
