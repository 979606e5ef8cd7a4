"""A classifier that is replaced while it is loaded comes from a single save."""

import numpy as np
import pytest

from layerfuse import FusionClassifier
from layerfuse.bundle import read_steady
from layerfuse.classifier import saved as module
from layerfuse.core.errors import BundleFormatError


@pytest.fixture
def two(make, toy_texts, toy_labels, tmp_path):
    """Return a folder with one of two classifiers that predict opposite labels, and the other."""
    reverse = {"calm": "loud", "loud": "calm"}
    first = make().fit(toy_texts, toy_labels)
    other = make().fit(toy_texts, [reverse[label] for label in toy_labels])
    first.save(tmp_path / "saved", include_backbones=True)
    return tmp_path / "saved", other


@pytest.mark.parametrize("n_saves", [1, 2])  # with two, ext4 gives the number of the first folder
@pytest.mark.parametrize("name", ["read_bundle", "load_included"])
def test_saves_in_the_middle_of_a_load(two, toy_texts, monkeypatch, name, n_saves):
    folder, other = two
    real, saves = getattr(module, name), []

    def late(*args, **options):
        found = real(*args, **options) if name == "read_bundle" else None
        while len(saves) < n_saves:
            saves.append(other.save(folder, include_backbones=True))
        return found or real(*args, **options)

    monkeypatch.setattr(module, name, late)
    loaded = FusionClassifier.load(folder, device="cpu")
    want = other.predict_proba(toy_texts)
    np.testing.assert_array_equal(loaded.predict_proba(toy_texts), want)


def test_an_error_of_two_folders_at_once_is_none(two, monkeypatch):
    folder, other = two
    real, errors = module.read_bundle, []

    def torn(place):
        if not errors:
            other.save(folder, include_backbones=True)
            errors.append(BundleFormatError("config.json of the one, arrays of the other"))
            raise errors[0]
        return real(place)

    monkeypatch.setattr(module, "read_bundle", torn)
    FusionClassifier.load(folder, device="cpu")
    assert errors


def test_a_folder_that_never_stays_is_an_error(tmp_path):
    numbers = iter(range(100))

    def replaced():
        place = tmp_path / "place"
        built = tmp_path / f"{next(numbers)}"
        built.mkdir()
        if place.exists():
            place.rename(tmp_path / f"{built.name}-old")
        built.rename(place)

    with pytest.raises(BundleFormatError, match="replaced 5 times while it was read"):
        read_steady(tmp_path / "place", replaced)


def test_a_folder_of_backbones_that_was_not_saved_is_not_read(
    make, toy_texts, toy_labels, tmp_path
):
    make().fit(toy_texts, toy_labels).save(tmp_path / "saved")
    (tmp_path / "saved" / "backbones").mkdir()
    loaded = FusionClassifier.load(tmp_path / "saved", device="cpu")
    assert (loaded.predict(toy_texts) == toy_labels).mean() > 0.9
