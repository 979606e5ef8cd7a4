"""Detects changes in place of weight files that are mapped into memory.

Weights stored in the requested precision are mapped, not copied. Overwriting such a file in place,
as ``cp`` does, changes the weights of a model that was loaded from it. Replacing it by another
file, as a download or a save does, has no effect on models that have the old one open.
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
    """Marks by path. A cut shares them, as it shares tensors; a pickled model has none."""

    def __deepcopy__(self, _memo: dict[int, object]) -> "_Marks":
        return self

    def __reduce__(self) -> tuple[type["_Marks"], tuple[()]]:
        """Pickle without marks, because pickled weights are copies."""
        return _Marks, ()


def read_marks(folder: Path) -> dict[Path, FileMark]:
    """Return the marks of the weight files in a folder; called before they are read."""
    marks = {path.absolute(): FileMark.of(path) for path in read_files(folder)}
    return {path: mark for path, mark in marks.items() if mark is not None}


def mark_files(model: Any, marks: dict[Path, FileMark], dtype: Dtype) -> None:
    """Attach the marks of mapped files to a model, which its cuts share."""
    mapped = ((path, mark) for path, mark in marks.items() if _holds(path, _NAMES[dtype]))
    setattr(model, _ATTRIBUTE, _Marks(mapped))


def check_files(model: Any, name: str) -> None:
    """Raise if a weight file was overwritten in place.

    Parameters
    ----------
    model : PreTrainedModel
        A model without marks, or on a GPU, is not checked, because it does not map files.
    name : str
        Name of the backbone, for messages.

    Raises
    ------
    BackboneChangedError
        If so; names the file.
    """
    marks: dict[Path, FileMark] = getattr(model, _ATTRIBUTE, {})
    if not marks or model.device.type != "cpu":
        return
    for path, mark in marks.items():
        now = FileMark.of(path)
        # Deleted or replaced by another file: the model still has the old one open.
        if now is None or now == mark or now[:2] != mark[:2]:
            continue
        if not _is_unchanged(path, mark):
            raise BackboneChangedError(
                f"{path} was overwritten in place after {name} was loaded from it, which changed "
                "its weights. Load it again, and refit every classifier that uses it. To replace a "
                "model in use, write the new file under another name and rename it."
            )
        marks[path] = now  # only touched; this avoids reading it again


def _holds(path: Path, kind: str) -> bool:
    with safe_open(path, framework="numpy") as tensors:
        return any(tensors.get_slice(name).get_dtype() == kind for name in tensors.keys())  # noqa: SIM118


def _is_unchanged(path: Path, mark: FileMark) -> bool:
    """Compare digests; hub files have theirs as their name, so it was not computed on loading."""
    return file_digest(path) in {digest_then(mark), path.resolve().name}
