"""One fitted classifier on both kinds of backbone, and its saved folder."""

from pathlib import Path

import pytest

from layerfuse import FusionClassifier


@pytest.fixture(scope="session")
def fitted(tiny_encoder, tiny_decoder, toy_texts, toy_labels) -> FusionClassifier:
    """Fit with everything that a folder must bring back: two backbones, two poolings, a mean."""
    options = {"fusion": "mean", "head": "auto", "device": "cpu", "cache": None, "progress": False}
    backbones = [str(tiny_encoder), tiny_decoder]
    return FusionClassifier(backbones, **options).fit(toy_texts, toy_labels)


@pytest.fixture
def saved(fitted, tmp_path) -> Path:
    fitted.save(tmp_path / "saved")
    return tmp_path / "saved"
