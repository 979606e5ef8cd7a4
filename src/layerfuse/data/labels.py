"""Checks labels: one type, none missing, enough texts of each class."""

import math
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any

import numpy as np

from layerfuse.core.arrays import ClassIndices
from layerfuse.core.errors import LabelError
from layerfuse.core.texts import encodable

Label = str | int | bool

# Integers as Python writes them: 007, +1 and 1.0 stay strings.
_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_SHOWN = 5
_MAX_CHARS = 500  # a NumPy array reserves the length of the longest label for each
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
        If a label is missing (None, NaN, blank), types are mixed or invalid, or fewer than two
        classes have two texts or more: training needs one, validation another.
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
        Where they come from, and what one is called, for messages.

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
        # Numbers of NumPy, and tensors of one number, as data sets of torch hold them.
        values = [
            x.item() if getattr(x, "shape", None) == () and hasattr(x, "item") else x
            for x in labels
        ]
    if not values:
        msg = f"{source}: expected {what}s, got none."
        raise LabelError(msg)
    if set(map(type, values)) in ({int}, {bool}):  # the checks below are slow on many labels
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
            msg += " They are whole numbers, which pandas turns into floats if some are missing: "
            msg += "use astype(int)."
        raise LabelError(msg + _remedy(set(first), what))
    return values


def _remedy(kinds: set[type], what: str) -> str:
    """Return what to do about labels of a type that no class has."""
    if kinds & {bytes}:
        return f" Decode them, as with {what}.decode()."
    if any(issubclass(kind, Enum) for kind in kinds):
        return f" Take their values, as with {what}.value."
    if kinds <= {list, tuple, np.ndarray}:
        return (
            f" A text has one {what}. If each row marks its class, take the position of the mark, "
            "as with numpy.argmax(rows, axis=1)."
        )
    return ""


def check_groups(groups: Sequence[Any], source: str = "groups") -> list[Label]:
    """Return the groups of texts as Python values of one type, none missing.

    Parameters
    ----------
    groups : sequence of str, int, bool or whole float
        Integers may be floats, because tables convert a column of integers with missing values.
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
    """Return labels as an array that keeps them exactly.

    Parameters
    ----------
    labels : sequence of str, int or bool
        Labels of one type, none missing.
    source : str
        For messages.

    Returns
    -------
    array of shape (text,)
        In the same order.

    Raises
    ------
    LabelError
        If one is longer than 500 characters, or NumPy or UTF-8 cannot represent it: integers beyond
        64 bits, strings that end in a null character or contain half a surrogate pair.
    """
    for row, label in enumerate(labels, 1):
        if isinstance(label, str) and len(label) > _MAX_CHARS:
            msg = (
                f"{source}: the label in data row {row} has {len(label)} characters, expected at "
                f"most {_MAX_CHARS}. It begins with {label[:20]!r}: is this the column of the "
                "labels? Name it with label_column=NAME."
            )
            raise LabelError(msg)
    array = np.array(labels)
    if array.dtype.kind in "iuUb":
        changed = [
            a
            for a, b in zip(labels, array.tolist(), strict=True)
            if a != b or (isinstance(a, str) and encodable(a) != a)
        ]
    else:  # NumPy has made floats or objects, because some integers exceed 64 bits
        changed = [label for label in labels if not _MIN_INT <= int(label) <= _MAX_INT]
    if changed:
        msg = (
            f"{source}: an array cannot hold {_some(list(map(repr, dict.fromkeys(changed))))}. Use "
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
    """Warn if labels differ only in the blanks around them, because they are different classes.

    Parameters
    ----------
    labels : iterable of str, int or bool
        Labels, none missing.
    source : str
        For the message.
    """
    names = {label for label in labels if isinstance(label, str)}
    bare = Counter(map(str.strip, names))
    alike = sorted(name for name in names if bare[name.strip()] > 1)
    if alike:
        msg = (
            f"{source}: {_some([repr(name) for name in alike])} differ only in the blanks around "
            "them, but count as different classes. Strip them if they should be one."
        )
        warnings.warn(msg, stacklevel=3)


def labels_from_strings(labels: Sequence[str], source: str) -> list[Label]:
    """Convert the labels of a delimited file, which are strings, to integers if all are integers.

    Parameters
    ----------
    labels : sequence of str
        As in the file; NaN is a missing label.
    source : str
        For messages.

    Returns
    -------
    list of str or int
        Integers only if every label is a plain integer, so that ``007`` stays a string.

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
    if type(label).__name__ in {"NAType", "NaTType"}:  # of pandas, which may not be installed
        return True
    return label is None or (isinstance(label, float) and math.isnan(label))


def _some(items: Sequence[object]) -> str:
    """Return the first few items and the number of the rest."""
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(map(str, items[:_SHOWN])) + more
