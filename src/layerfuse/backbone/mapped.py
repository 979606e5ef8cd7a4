"""Whether the files that a model's weights are read from, page by page, still are what they were.

Weights are mapped into memory, not copied: who writes over such a file in place, as ``cp`` does,
changes the numbers of a model that was loaded from it. A file that is replaced by another one, as
by a download or a save, stays what it was for all that have it open.
"""

from pathlib import Path
from typing import Any

from layerfuse.core.errors import BackboneChangedError

_ATTRIBUTE = "layerfuse_files"
_Mark = tuple[tuple[int, int], tuple[int, int]]


def mark_files(model: Any, marks: dict[str, _Mark]) -> None:
    """Keep with a model, and with what is cut from it, what its files were."""
    setattr(model, _ATTRIBUTE, marks)


def read_marks(folder: Path) -> dict[str, _Mark]:
    """Return which files of weights lie in a folder, and their size and time of change."""
    marks = {str(path.absolute()): _mark(path) for path in folder.glob("*.safetensors")}
    return {path: mark for path, mark in marks.items() if mark is not None}


def check_files(model: Any, name: str) -> None:
    """Raise if a file of weights was written over in place.

    Parameters
    ----------
    model : PreTrainedModel
        One that has no marks is not of such files.
    name : str
        For messages.

    Raises
    ------
    BackboneChangedError
        With the file.
    """
    for path, mark in getattr(model, _ATTRIBUTE, {}).items():
        now = _mark(Path(path))
        if now is not None and now[0] == mark[0] and now[1] != mark[1]:
            raise BackboneChangedError(
                f"{path} was written over in place after {name} was loaded from it, which changes "
                "its weights under way. Load it again, and fit again what was fitted with it. To "
                "replace a model that is in use, write the new file beside it and rename it."
            )


def _mark(path: Path) -> _Mark | None:
    try:
        stat = path.stat()
    except OSError:  # gone: whoever has it open keeps it
        return None
    return (stat.st_dev, stat.st_ino), (stat.st_size, stat.st_mtime_ns)
