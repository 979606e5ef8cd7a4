"""Labels: one type, none missing, enough of each class."""

import math
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from layerfuse.core.arrays import ClassIndices
from layerfuse.core.errors import LabelError
from layerfuse.core.texts import encodable

Label = str | int | bool

# As the number would be written back: 007, +1 and 1.0 are names, not numbers.
_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_SHOWN = 5
_MAX_CHARS = 500  # an array gives each label the room of the longest
_MIN_CLASSES = 2
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1


def check_labels(labels: Iterable[Any]) -> None:
    """Raise unless a classifier can be trained on these labels.

    Parameters
    ----------
    labels : iterable of str, int or bool
        An array or list, one label per text.

    Raises
    ------
    LabelError
        If a label is missing (None, NaN, blank), types are mixed or of another kind, or there are
        not two classes of two texts or more, which validation needs: one to learn from, one to
        judge by.
    """
    values = check_present(labels)
    counts = Counter(values)
    if len(counts) < _MIN_CLASSES:
        msg = f"Expected at least two classes, but all {len(values)} rows have label {values[0]!r}."
        raise LabelError(msg)
    if sum(count > 1 for count in counts.values()) < _MIN_CLASSES:
        shown = _some([f"{label!r} has {count}" for label, count in counts.items()])
        msg = f"Expected at least two classes of two texts or more, but {shown}. Add texts."
        raise LabelError(msg)


def check_present(
    labels: Iterable[Any], source: str = "labels", *, what: str = "label"
) -> list[Label]:
    """Return the labels as Python values of one type, none missing.

    Parameters
    ----------
    labels : iterable of str, int or bool
        An array or list.
    source, what : str
        For messages: where they are from, and what one is.

    Returns
    -------
    list of str, int or bool
        In the same order.

    Raises
    ------
    LabelError
        If there are none, one is missing, or they are not all str, all int or all bool.
    """
    if isinstance(labels, np.ndarray) and labels.ndim != 1:
        msg = f"{source}: expected one {what} per text, got an array of shape {labels.shape}."
        raise LabelError(msg)
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iub":
        values: list[Any] = labels.tolist()
    else:
        values = [label.item() if isinstance(label, np.generic) else label for label in labels]
    if not values:
        msg = f"{source}: expected {what}s, got none."
        raise LabelError(msg)
    if set(map(type, values)) in ({int}, {bool}):  # the rest looks at each: slow on many
        return values
    missing = [row for row, label in enumerate(values, 1) if _is_missing(label)]
    if missing:
        msg = (
            f"{source}: the {what} is missing in {len(missing)} of {len(values)} data rows: "
            f"{_some(missing)}. Fill it in or drop these rows."
        )
        raise LabelError(msg)
    first: dict[type, int] = {}
    for row, label in enumerate(values, 1):
        first.setdefault(type(label), row)
    if len(first) > 1 or not first.keys() <= {str, int, bool}:
        kinds = " and ".join(f"{kind.__name__} (data row {row})" for kind, row in first.items())
        msg = f"{source}: expected {what}s that are all str, all int or all bool, got {kinds}."
        if first.keys() <= {int, float} and all(label % 1 == 0 for label in values):
            msg += " They are whole numbers, which pandas makes floats where some are missing: "
            msg += "use astype(int)."
        raise LabelError(msg)
    return values


def check_groups(groups: Sequence[Any], source: str = "groups") -> list[Label]:
    """Return the groups of texts as Python values of one type, none missing.

    Parameters
    ----------
    groups : sequence of str, int, bool or whole float
        Tables make floats of integers where one is missing in some other part.
    source : str
        For messages.

    Raises
    ------
    LabelError
        As from ``check_present``.
    """
    plain = [g.item() if isinstance(g, np.generic) else g for g in groups]
    whole = [int(g) if isinstance(g, float) and g.is_integer() else g for g in plain]
    return check_present(whole, source, what="group")


def label_array(labels: Sequence[Label], source: str = "labels") -> np.ndarray:
    """Return labels as an array that gives back the very same ones.

    Parameters
    ----------
    labels : sequence of str, int or bool
        Of one type, none missing.
    source : str
        For messages.

    Returns
    -------
    array of shape (text,)
        In the same order.

    Raises
    ------
    LabelError
        If one is longer than 500 characters, NumPy would change some, or UTF-8 cannot hold them:
        integers beyond 64 bits, strings that end in a null character or hold half a surrogate pair.
    """
    for row, label in enumerate(labels, 1):
        if isinstance(label, str) and len(label) > _MAX_CHARS:
            msg = (
                f"{source}: the label in data row {row} has {len(label)} characters, expected at "
                f"most {_MAX_CHARS}. It begins with {label[:20]!r}: is this the column of the "
                "labels? Name it with label_column= (--label-column)."
            )
            raise LabelError(msg)
    array = np.array(labels)
    if array.dtype.kind in "iuUb":
        changed = [
            a
            for a, b in zip(labels, array.tolist(), strict=True)
            if a != b or (isinstance(a, str) and encodable(a) != a)
        ]
    else:  # floats or objects, for integers of which some are beyond 64 bits
        changed = [label for label in labels if not _MIN_INT <= int(label) <= _MAX_INT]
    if changed:
        msg = (
            f"{source}: an array cannot hold {_some([repr(label) for label in changed])}. Use "
            "integers of 64 bits, or strings without a null character at their end or half a "
            "surrogate pair."
        )
        raise LabelError(msg)
    return array


def index_labels(labels: Iterable[Any]) -> tuple[np.ndarray, ClassIndices]:
    """Return the classes, sorted, and the position of each label among them.

    Parameters
    ----------
    labels : iterable of str, int or bool
        An array or list, one label per text.

    Returns
    -------
    names : array of shape (class,)
        Each label once.
    classes : int array of shape (text,)
        Class indices.

    Raises
    ------
    LabelError
        As from ``check_present`` and ``label_array``.
    """
    names, classes = np.unique(label_array(check_present(labels)), return_inverse=True)
    return names, classes


def warn_of_blanks(labels: Iterable[Label], source: str) -> None:
    """Warn if labels differ in nothing but the blanks around them: they are classes apart.

    Parameters
    ----------
    labels : iterable of str, int or bool
        None missing.
    source : str
        For the message.
    """
    names = {label for label in labels if isinstance(label, str)}
    bare = Counter(map(str.strip, names))
    alike = sorted(name for name in names if bare[name.strip()] > 1)
    if alike:
        msg = (
            f"{source}: {_some([repr(name) for name in alike])} differ only in the blanks around "
            "them, yet are classes of their own. Strip them if they are meant to be one."
        )
        warnings.warn(msg, stacklevel=3)


def labels_from_strings(labels: Sequence[str], source: str) -> list[Label]:
    """Return the labels of a delimited file, where all is text, as the integers they may be.

    Parameters
    ----------
    labels : sequence of str
        As they stand in the file. NaN is how such a file says that a label is missing.
    source : str
        For messages.

    Returns
    -------
    list of str or int
        Integers only if every label is one in its plain form, so that ``007`` stays a string.

    Raises
    ------
    LabelError
        As from ``check_present``.
    """
    values = check_present([None if label in {"nan", "NaN"} else label for label in labels], source)
    if all(_PLAIN_INTEGER.fullmatch(str(label)) for label in values):
        return [int(label) for label in values]
    return values


def _is_missing(label: Any) -> bool:
    if isinstance(label, str):
        return not label.strip()
    if type(label).__name__ in {"NAType", "NaTType"}:  # of pandas, which need not be there
        return True
    return label is None or (isinstance(label, float) and math.isnan(label))


def _some(items: Sequence[object]) -> str:
    """List the first few items and count the rest."""
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(map(str, items[:_SHOWN])) + more
