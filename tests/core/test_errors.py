"""Errors are also the builtin that a caller would catch, and unknown options name the right one."""

import inspect

import pytest

from layerfuse.core import errors
from layerfuse.core.errors import (
    LayerFuseError,
    MissingExtraError,
    UnknownOptionError,
    check_option,
)

BUILTINS = {
    "UnknownOptionError": ValueError,
    "ShapeError": ValueError,
    "FeatureError": ValueError,
    "LabelError": ValueError,
    "LayerError": ValueError,
    "SelectionError": ValueError,
    "SignalError": ValueError,
    "DataError": ValueError,
    "BackboneLoadError": OSError,
    "BackboneChangedError": RuntimeError,
    "OutOfMemoryError": MemoryError,
    "DownloadError": OSError,
    "StoreError": OSError,
    "BundleFormatError": ValueError,
    "ReportError": ValueError,
    "MissingExtraError": ImportError,
}


def children():
    return {
        name: kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, LayerFuseError) and kind is not LayerFuseError
    }


def test_every_error_is_listed_here():
    assert set(children()) == set(BUILTINS)


@pytest.mark.parametrize("name", BUILTINS)
def test_each_is_caught_as_root_and_as_builtin(name):
    kind = children()[name]
    for caught_as in (LayerFuseError, BUILTINS[name]):
        with pytest.raises(caught_as, match="what happened"):
            raise kind("what happened")


def test_unknown_option_names_all_choices_and_the_nearest():
    error = UnknownOptionError.from_options("selector", "gredy", ["best", "greedy", "upper_half"])
    assert str(error) == (
        "selector='gredy' is unknown. Choose one of: best, greedy, upper_half. "
        "Did you mean 'greedy'?"
    )


def test_unknown_option_with_nothing_near_does_not_guess():
    message = str(UnknownOptionError.from_options("selector", "zzz", ["best", "greedy"]))
    assert "Did you mean" not in message


@pytest.mark.parametrize("value", [None, 3, ["best"], {}])
def test_check_option_takes_values_of_any_type(value):
    with pytest.raises(UnknownOptionError, match="Choose one of: best"):
        check_option("selector", value, iter(["best"]))


def test_check_option_lets_a_choice_pass():
    check_option("selector", "best", iter(["greedy", "best"]))


def test_missing_extra_gives_the_command():
    assert "pip install 'layerfuse[gguf]'" in str(MissingExtraError.for_extra("A .gguf", "gguf"))
