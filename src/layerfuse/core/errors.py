"""All errors of the library. Messages say what was expected, what came, and what to do.

Each error is a ``LayerFuseError`` and also the builtin that a caller would catch. One warning,
``TruncationWarning``, carries its numbers, so that callers can add them up.
"""

import difflib
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


class LayerFuseError(Exception):
    """Base class of all errors that layerfuse raises on purpose."""


class UnknownOptionError(LayerFuseError, ValueError):
    """An option got a value that is not one of its choices."""

    @classmethod
    def from_options(
        cls, option: str, value: object, options: Iterable[str]
    ) -> "UnknownOptionError":
        """Build the message, which lists the choices and the nearest one.

        Parameters
        ----------
        option : str
            Name of the parameter.
        value : object
            The wrong value.
        options : iterable of str
            The choices.

        Returns
        -------
        UnknownOptionError
            The error, to be raised by the caller.
        """
        choices = list(options)
        near = difflib.get_close_matches(str(value), choices, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return cls(f"{option}={value!r} is unknown. Choose one of: {', '.join(choices)}.{hint}")


class ShapeError(LayerFuseError, ValueError):
    """Arrays or sequences that belong together differ in shape or length."""


class FeatureError(LayerFuseError, ValueError):
    """Features contain values that no method can use, such as NaN."""


class LabelError(LayerFuseError, ValueError):
    """Labels are missing, of one class only, or too few per class."""


class SignalError(LayerFuseError, ValueError):
    """A criterion needs attention or gradients of the model, which were not passed."""


class LayerError(LayerFuseError, ValueError):
    """The requested layer does not exist."""


class SelectionError(LayerFuseError, ValueError):
    """A selection is empty, repeats a layer, names one that was not scored, or cannot be made."""


class DataError(LayerFuseError, ValueError):
    """A file or column of texts and labels cannot be read."""


class BackboneLoadError(LayerFuseError, OSError):
    """A backbone could not be found or loaded."""


class BackboneChangedError(LayerFuseError, RuntimeError):
    """A backbone was changed after loading, so its outputs no longer match its identity."""


class OutOfMemoryError(LayerFuseError, MemoryError):
    """Memory does not suffice even for the smallest batch."""


class DownloadError(LayerFuseError, OSError):
    """A file could not be downloaded, or is not the expected one."""


class StoreError(LayerFuseError, OSError):
    """The store cannot read or write its folder, for example because the disk is full."""


class BundleFormatError(LayerFuseError, ValueError):
    """A saved classifier is incomplete, corrupt or of a newer format."""


class ReportError(LayerFuseError, ValueError):
    """A saved report is missing, corrupt or of another version."""


class MissingExtraError(LayerFuseError, ImportError):
    """An optional dependency is not installed."""

    @classmethod
    def for_extra(cls, what: str, extra: str) -> "MissingExtraError":
        """Build the message: what needs the extra, and the command that installs it."""
        return cls(f"{what} needs an optional dependency. Run: pip install 'layerfuse[{extra}]'")


@dataclass(eq=False)
class TruncationWarning(UserWarning):
    """Texts were truncated because they are longer than a backbone reads.

    Parameters
    ----------
    backbone : str
        Name of the backbone.
    n_truncated : int
        Number of truncated texts.
    n_texts : int
        Number of all texts.
    max_tokens : int
        Number of tokens that it reads of a text.
    prompted : bool
        Whether a prompt takes some of these tokens.
    """

    backbone: str
    n_truncated: int
    n_texts: int
    max_tokens: int
    prompted: bool

    def __str__(self) -> str:
        prompted = " with the prompt" if self.prompted else ""
        return (
            f"{self.backbone}: {self.n_truncated} of {self.n_texts} texts are{prompted} longer "
            f"than max_tokens={self.max_tokens} and were truncated."
        )


def check_option(option: str, value: object, options: Iterable[str]) -> None:
    """Raise ``UnknownOptionError`` unless the value is one of the options.

    Parameters
    ----------
    option : str
        Name of the parameter, for the message.
    value : object
        The value to check.
    options : iterable of str
        The choices.

    Raises
    ------
    UnknownOptionError
        If the value is not one of the choices.
    """
    choices = list(options)
    if value not in choices:
        raise UnknownOptionError.from_options(option, value, choices)


def as_integer(option: str, value: Any) -> int:
    """Return a Python or NumPy integer as a Python int.

    Parameters
    ----------
    option : str
        Name of the parameter, for the message.
    value : object
        The value to convert.

    Raises
    ------
    UnknownOptionError
        If the value is not an integer.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise UnknownOptionError(f"{option}={value!r}: expected an integer.") from None
