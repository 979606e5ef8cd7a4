"""Whether the files that a model's weights are read from, page by page, still are what they were.

Weights that lie there in the precision asked for are mapped into memory, not copied: who writes
over such a file in place, as ``cp`` does, changes the numbers of a model that was loaded from it. A
file that is replaced by another one, as by a download or a save, stays what it was for all that
have it open.
"""

from pathlib import Path
from typing import Any

from safetensors import safe_open

from layerfuse.backbone.weights import read_files
from layerfuse.core.errors import BackboneChangedError
from layerfuse.core.files import FileMark, digest_then, file_digest
from layerfuse.core.spec import Dtype

_ATTRIBUTE = "layerfuse_files"
_NAMES: dict[Dtype, str] = {"float32": "F32", "bfloat16": "BF16"}


class _Marks(dict[Path, FileMark]):
    """Marks by path. A cut shares them, as it shares the tensors; what is pickled has none."""

    def __deepcopy__(self, _memo: dict[int, object]) -> "_Marks":
        return self

    def __reduce__(self) -> tuple[type["_Marks"], tuple[()]]:
        """Pickle without them: weights are copied then, and mapped no longer."""
        return _Marks, ()


def read_marks(folder: Path) -> dict[Path, FileMark]:
    """Return what the files of weights in a folder are, before they are read."""
    marks = {path.absolute(): FileMark.of(path) for path in read_files(folder)}
    return {path: mark for path, mark in marks.items() if mark is not None}


def mark_files(model: Any, marks: dict[Path, FileMark], dtype: Dtype) -> None:
    """Keep with a model, and with what is cut from it, what the files were that are mapped."""
    mapped = ((path, mark) for path, mark in marks.items() if _holds(path, _NAMES[dtype]))
    setattr(model, _ATTRIBUTE, _Marks(mapped))


def check_files(model: Any, name: str) -> None:
    """Raise if a file of weights was written over in place.

    Parameters
    ----------
    model : PreTrainedModel
        One that has no marks, or lies on a GPU, is not of such files.
    name : str
        For messages.

    Raises
    ------
    BackboneChangedError
        With the file.
    """
    marks: dict[Path, FileMark] = getattr(model, _ATTRIBUTE, {})
    if not marks or model.device.type != "cpu":
        return
    for path, mark in marks.items():
        now = FileMark.of(path)
        # Gone, or another file that took its place: whoever has the old one open keeps it.
        if now is None or now == mark or now[:2] != mark[:2]:
            continue
        if not _is_still(path, mark):
            raise BackboneChangedError(
                f"{path} was written over in place after {name} was loaded from it, which changes "
                "its weights under way. Load it again, and fit again what was fitted with it. To "
                "replace a model that is in use, write the new file beside it and rename it."
            )
        marks[path] = now  # it was touched, and need not be read again


def _holds(path: Path, kind: str) -> bool:
    with safe_open(path, framework="numpy") as tensors:
        return any(tensors.get_slice(name).get_dtype() == kind for name in tensors.keys())  # noqa: SIM118


def _is_still(path: Path, mark: FileMark) -> bool:
    """Compare digests; what comes from the hub is not read for one, but is named by it."""
    return file_digest(path) in {digest_then(mark), path.resolve().name}
