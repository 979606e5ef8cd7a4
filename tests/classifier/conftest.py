"""A classifier that shows no bars and keeps nothing, unless a test says otherwise."""

from collections.abc import Callable

import pytest

from layerfuse import FusionClassifier


@pytest.fixture
def make(tiny_encoder) -> Callable[..., FusionClassifier]:
    """Build a classifier on the tiny encoder, with a fast head and no lexical one."""

    def build(**options) -> FusionClassifier:
        plain = {
            "backbones": [str(tiny_encoder)],
            "head": "ridge",
            "lexical": False,
            "device": "cpu",
            "cache": None,
            "progress": False,
        }
        return FusionClassifier(**(plain | options))

    return build
