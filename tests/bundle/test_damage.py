"""A folder that is not what was saved is refused, and the file named."""

import json
import shutil

import numpy as np
import pytest

from layerfuse import FusionClassifier
from layerfuse.bundle import FORMAT_VERSION, Bundle, read_bundle, write_bundle
from layerfuse.core.errors import BackboneLoadError, BundleFormatError

FILES = ["config.json", "arrays.safetensors", "README.md"]


@pytest.fixture
def whole(fitted, tmp_path):
    """Save with backbones."""
    fitted.save(tmp_path / "whole", include_backbones=True)
    return tmp_path / "whole"


def test_every_missing_file_is_named(whole):
    card = whole / "README.md"
    for path in [p for p in sorted(whole.rglob("*")) if p.is_file() and p != card]:
        kept = path.read_bytes()
        path.unlink()
        with pytest.raises(BundleFormatError, match=path.relative_to(whole).as_posix()) as caught:
            FusionClassifier.load(whole)
        assert str(whole) in str(caught.value)
        path.write_bytes(kept)

    FusionClassifier.load(whole, device="cpu")


def test_every_flipped_byte_is_found_and_the_file_named(whole):
    rng = np.random.default_rng(0)
    card = whole / "README.md"
    for path in [p for p in sorted(whole.rglob("*")) if p.is_file() and p != card]:
        kept = path.read_bytes()
        for place in [0, len(kept) - 3, *rng.integers(len(kept), size=8)]:
            damaged = bytearray(kept)
            damaged[place] ^= 1 << int(rng.integers(7))
            path.write_bytes(damaged)
            with pytest.raises(BundleFormatError, match=path.relative_to(whole).as_posix()):
                read_bundle(whole)
        path.write_bytes(kept)


def test_people_may_take_the_card_away(saved):
    (saved / "README.md").unlink()
    assert read_bundle(saved).card == ""
    FusionClassifier.load(saved, device="cpu")


def test_people_may_write_in_the_card(saved):
    with (saved / "README.md").open("a", encoding="latin-1") as card:
        card.write("\nFür Anna.\r\n")
    assert read_bundle(saved).card.endswith("r Anna.\n")
    FusionClassifier.load(saved, device="cpu")


@pytest.mark.parametrize(
    "garbage", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'"text"', b"{}", b'{"format_version": 1}']
)
def test_a_garbage_configuration_is_named(saved, garbage):
    (saved / "config.json").write_bytes(garbage)

    with pytest.raises(BundleFormatError, match=r"config\.json"):
        FusionClassifier.load(saved)


def test_a_changed_configuration_is_refused(saved):
    text = (saved / "config.json").read_text("utf-8")
    (saved / "config.json").write_text(text.replace('"loud"', '"lout"'), "utf-8")

    with pytest.raises(BundleFormatError, match=r"config\.json is not the file that was saved"):
        FusionClassifier.load(saved)


def test_a_newer_format_says_upgrade(saved):
    config = json.loads((saved / "config.json").read_text("utf-8"))
    config |= {"format_version": FORMAT_VERSION + 1, "novelty": [1]}
    (saved / "config.json").write_text(json.dumps(config), "utf-8")

    with pytest.raises(BundleFormatError, match=r"format 7, .*up to 6.*pip install --upgrade"):
        FusionClassifier.load(saved)


def test_what_is_no_bundle_is_called_so(tmp_path, tiny_encoder):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(BundleFormatError, match=r"config\.json"):
            FusionClassifier.load(path)
    with pytest.raises(BundleFormatError, match="not written by layerfuse"):
        FusionClassifier.load(tiny_encoder)


def test_a_configuration_that_lacks_what_it_needs_is_named(tmp_path):
    write_bundle(tmp_path / "odd", Bundle({"classes": []}, {"a": np.zeros(1)}, "card"))

    with pytest.raises(BundleFormatError, match=r"config\.json lacks 'selection'"):
        FusionClassifier.load(tmp_path / "odd")


@pytest.fixture
def on_own_model(new_encoder, toy, tmp_path):
    """Save a classifier without its backbone, which may then be tampered with."""
    origin = new_encoder()
    options = {"device": "cpu", "cache": None, "progress": False}
    FusionClassifier([origin], **options).fit(*toy(20)).save(tmp_path / "saved")
    return origin, tmp_path / "saved"


def test_a_model_folder_that_is_gone_is_named(on_own_model):
    origin, saved = on_own_model
    shutil.rmtree(origin)

    with pytest.raises(BackboneLoadError, match=f"{origin} does not exist"):
        FusionClassifier.load(saved)


def test_a_model_folder_with_other_weights_is_refused(on_own_model, new_encoder):
    origin, saved = on_own_model
    shutil.rmtree(origin)
    new_encoder(seed=5)

    with pytest.raises(BackboneLoadError, match="not the backbone that was used before"):
        FusionClassifier.load(saved, device="cpu")


def test_a_model_folder_with_another_tokenizer_is_refused(on_own_model):
    origin, saved = on_own_model
    text = (origin / "tokenizer.json").read_text("utf-8")
    (origin / "tokenizer.json").write_text(text.replace('"loud1"', '"loudest"'), "utf-8")

    with pytest.raises(BackboneLoadError, match="weights, tokenizer, Python code or"):
        FusionClassifier.load(saved, device="cpu")
