"""Every error of the library: what was expected, what came with its values, what to do.

Each is a ``LayerFuseError`` and also the builtin that a caller would catch. And the one warning
that carries numbers, for who wants to add them up.
"""

import difflib
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


class LayerFuseError(Exception):
    """Root of all errors that layerfuse raises on purpose."""


class UnknownOptionError(LayerFuseError, ValueError):
    """An option got a value that is not one of its choices."""

    @classmethod
    def from_options(
        cls, option: str, value: object, options: Iterable[str]
    ) -> "UnknownOptionError":
        """Build the message from the real choices and the nearest of them.

        Parameters
        ----------
        option : str
            Name of the parameter.
        value : object
            What was given.
        options : iterable of str
            What would have been right.

        Returns
        -------
        UnknownOptionError
            Ready to raise.
        """
        choices = list(options)
        near = difflib.get_close_matches(str(value), choices, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return cls(f"{option}={value!r} is unknown. Choose one of: {', '.join(choices)}.{hint}")


class ShapeError(LayerFuseError, ValueError):
    """Arrays or tuples that belong together disagree in shape."""


class FeatureError(LayerFuseError, ValueError):
    """Features hold values no method can use, such as NaN."""


class LabelError(LayerFuseError, ValueError):
    """Labels are missing, of one class only, or too few per class."""


class SignalError(LayerFuseError, ValueError):
    """A criterion needs what only the model can tell of its layers, and it was not passed."""


class LayerError(LayerFuseError, ValueError):
    """A layer was asked for that the backbone does not have."""


class SelectionError(LayerFuseError, ValueError):
    """A selection is empty, repeats a layer or names one that was not scored."""


class DataError(LayerFuseError, ValueError):
    """A file or column of texts and labels cannot be read as asked."""


class BackboneLoadError(LayerFuseError, OSError):
    """A backbone could not be found or loaded."""


class BackboneChangedError(LayerFuseError, RuntimeError):
    """A backbone was changed after it was loaded, so that its numbers are no longer its own."""


class OutOfMemoryError(LayerFuseError, MemoryError):
    """Memory does not suffice even for the smallest piece of work."""


class DownloadError(LayerFuseError, OSError):
    """A file could not be downloaded, or is not the one that was expected."""


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
        """Name what needs the extra and the command that installs it."""
        return cls(f"{what} needs an optional dependency. Run: pip install 'layerfuse[{extra}]'")


@dataclass(eq=False)
class TruncationWarning(UserWarning):
    """Texts are longer than a backbone reads.

    Parameters
    ----------
    backbone : str
        Its name.
    n_truncated : int
        Texts that were truncated.
    n_texts : int
        Of so many.
    max_tokens : int
        What it reads of a text.
    prompted : bool
        A prompt takes a part of these.
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
        What was given.
    options : iterable of str
        The choices.

    Raises
    ------
    UnknownOptionError
        If the value is none of them.
    """
    choices = list(options)
    if value not in choices:
        raise UnknownOptionError.from_options(option, value, choices)


def as_integer(option: str, value: Any) -> int:
    """Return a whole number as Python's own, also one of NumPy's.

    Parameters
    ----------
    option : str
        Name of the parameter, for the message.
    value : object
        What was given.

    Raises
    ------
    UnknownOptionError
        If it is no integer.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise UnknownOptionError(f"{option}={value!r}: expected an integer.") from None
