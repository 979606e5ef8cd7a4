"""What is saved comes back bit for bit, here and in another process, with and without backbones."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from sklearn.base import clone

from layerfuse import Backbone, FusionClassifier
from layerfuse.backbone.parts import load_parts
from layerfuse.bundle import FORMAT_VERSION
from layerfuse.core.errors import BackboneChangedError, BackboneLoadError

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from layerfuse import FusionClassifier

root = Path(sys.argv[1])
for name in ("plain", "with-backbones"):
    classifier = FusionClassifier.load(root / name, device="cpu", offline=True)
    classifier.progress = False
    texts = (root / "texts").read_text("utf-8").split("\\n")
    np.save(root / f"{name}.npy", classifier.predict_proba(texts))
"""


@pytest.fixture(scope="module")
def others(toy) -> list[str]:
    return [*toy(30, ("calm", "loud", "wild"), seed=7)[0], "", "unknown words"]


def quiet(classifier: FusionClassifier) -> FusionClassifier:
    return classifier.set_params(progress=False)


@pytest.mark.parametrize("include_backbones", [False, True])
def test_a_loaded_classifier_is_the_saved_one(fitted, others, tmp_path, include_backbones):
    fitted.save(tmp_path / "saved", include_backbones=include_backbones)
    loaded = quiet(FusionClassifier.load(tmp_path / "saved", device="cpu"))

    assert loaded.classes_.tolist() == fitted.classes_.tolist()
    assert loaded.selection_ == fitted.selection_
    for method in ("predict", "predict_proba", "decision_function", "transform"):
        assert np.array_equal(getattr(loaded, method)(others), getattr(fitted, method)(others))
    assert loaded.fusion == "mean"
    assert [b.deepest for b in loaded.backbones_.values()] == [
        b.deepest for b in fitted.backbones_.values()
    ]


def test_another_process_gives_the_same_bits(fitted, others, tmp_path, subprocess_environment):
    fitted.save(tmp_path / "plain")
    fitted.save(tmp_path / "with-backbones", include_backbones=True)
    (tmp_path / "texts").write_text("\n".join(others), "utf-8")
    command = [sys.executable, "-c", SCRIPT, tmp_path]
    subprocess.run(command, env=subprocess_environment, check=True, capture_output=True)

    expected = fitted.predict_proba(others)
    for name in ("plain", "with-backbones"):
        assert np.array_equal(np.load(tmp_path / f"{name}.npy"), expected)


def test_with_its_backbones_it_needs_nothing_else(toy, others, new_encoder, tmp_path, monkeypatch):
    origin = new_encoder()
    options = {"device": "cpu", "cache": None, "progress": False}
    classifier = FusionClassifier([origin], selector="best", **options).fit(*toy())
    classifier.save(tmp_path / "alone", include_backbones=True)
    expected = classifier.predict_proba(others)
    shutil.rmtree(origin)
    (tmp_path / "alone").rename(tmp_path / "moved")
    monkeypatch.setattr("huggingface_hub.snapshot_download", None)
    loaded = quiet(FusionClassifier.load(tmp_path / "moved", device="cpu", offline=True))

    assert np.array_equal(loaded.predict_proba(others), expected)


def test_a_relative_model_folder_is_found_from_everywhere(
    toy, others, new_encoder, tmp_path, monkeypatch
):
    monkeypatch.chdir(new_encoder("near").parent)
    options = {"device": "cpu", "cache": None, "progress": False}
    classifier = FusionClassifier(["near"], **options).fit(*toy())
    classifier.save("saved")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    loaded = quiet(FusionClassifier.load("../saved", device="cpu", offline=True))

    assert np.array_equal(loaded.predict_proba(others), classifier.predict_proba(others))
    assert loaded.backbones == [str(tmp_path / "near")]


def test_only_the_cut_weights_are_included(toy, tiny_encoder, tmp_path):
    from layerfuse import Backbone

    whole = Backbone.from_pretrained(tiny_encoder, device="cpu")
    options = {"device": "cpu", "cache": None, "progress": False}
    classifier = FusionClassifier([whole], selector="best", **options).fit(*toy())
    deepest = classifier.selection_.deepest("encoder")
    classifier.save(tmp_path / "saved", include_backbones=True)
    (weights,) = (tmp_path / "saved" / "backbones").rglob("model.safetensors")
    config = json.loads((weights.parent / "config.json").read_text())

    assert deepest < 3, "the toy task changed: choose a layer that is not the last"
    assert config["num_hidden_layers"] == 3  # of the whole: more than the blocks may follow from it
    assert weights.stat().st_size < (tiny_encoder / "model.safetensors").stat().st_size


def test_a_loaded_classifier_can_be_saved_again(fitted, others, tmp_path):
    fitted.save(tmp_path / "one", include_backbones=True)
    FusionClassifier.load(tmp_path / "one", device="cpu").save(
        tmp_path / "two", include_backbones=True
    )
    shutil.rmtree(tmp_path / "one")
    again = quiet(FusionClassifier.load(tmp_path / "two", device="cpu"))

    assert np.array_equal(again.predict_proba(others), fitted.predict_proba(others))


def test_a_loaded_classifier_can_be_fitted_again(saved, toy):
    loaded = FusionClassifier.load(saved, device="cpu").set_params(cache=None, progress=False)

    assert loaded.fit(*toy(40, ("calm", "wild"))).score(*toy(40, ("calm", "wild"), seed=3)) > 0.7


def test_the_folder_holds_data_only(fitted, tmp_path):
    fitted.save(tmp_path / "saved", include_backbones=True)
    files = [path for path in (tmp_path / "saved").rglob("*") if path.is_file()]

    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}
    assert not [
        path for path in files if path.read_bytes()[:2] in (b"\x80\x04", b"\x80\x02", b"PK")
    ]


def test_the_configuration_tells_format_and_files(saved):
    config = json.loads((saved / "config.json").read_text("utf-8"))

    assert config["format_version"] == FORMAT_VERSION == 6
    assert set(config["files"]) == {"arrays.safetensors", "README.md"}
    assert config["classes"] == ["calm", "loud"]
    assert {"cache", "device"}.isdisjoint(config["parameters"])


def test_the_card_tells_layers_classes_and_use(fitted, saved):
    card = (saved / "README.md").read_text("utf-8")

    assert card.startswith("---\nlibrary_name: layerfuse\n")
    for ref in fitted.selection_:
        assert f"- `{ref}`" in card
    assert "Classes: calm, loud" in card
    assert "3 of 3 blocks" in card
    assert f"ridge head: held-out accuracy {fitted.validation_[0].accuracy:.4f}" in card
    assert "FusionClassifier.load(" in card


def test_numbers_of_a_parameter_grid_are_saved(toy, tiny_encoder, tmp_path):
    options = {"device": "cpu", "cache": None, "progress": False, "selector": "best"}
    classifier = FusionClassifier(
        [tiny_encoder], k=np.int64(2), random_state=np.uint32(3), **options
    ).fit(*toy())
    classifier.save(tmp_path / "saved")
    loaded = FusionClassifier.load(tmp_path / "saved", device="cpu")

    assert (loaded.k, loaded.random_state) == (2, 3)


class ByWidth:
    """A criterion that is an object, without a ``__name__``."""

    def __call__(self, features, labels):
        return float(features.std())


@pytest.mark.parametrize("criterion", [ByWidth(), lambda features, labels: float(features.max())])
def test_a_criterion_of_ones_own_does_not_hinder_saving(toy, tiny_encoder, tmp_path, criterion):
    options = {"device": "cpu", "cache": None, "progress": False}
    classifier = FusionClassifier([tiny_encoder], criterion=criterion, **options).fit(*toy())
    classifier.save(tmp_path / "saved")

    assert FusionClassifier.load(tmp_path / "saved", device="cpu").classes_.tolist() == [
        "calm",
        "loud",
    ]


def test_labels_that_are_no_ascii_come_back(toy, tiny_encoder, tmp_path):
    texts, topics = toy()
    labels = ["ça va" if topic == "calm" else "\N{CAT FACE}\n" for topic in topics]
    options = {"device": "cpu", "cache": None, "progress": False}
    classifier = FusionClassifier([tiny_encoder], **options).fit(texts, labels)
    classifier.save(tmp_path / "saved")
    loaded = quiet(FusionClassifier.load(tmp_path / "saved", device="cpu"))

    assert loaded.predict(texts).tolist() == classifier.predict(texts).tolist()
    assert set(loaded.predict(texts)) == set(labels)


def test_the_block_list_that_was_named_is_named_again(fitted, tmp_path, monkeypatch):
    fitted.save(tmp_path / "saved")
    asked = []
    monkeypatch.setattr(
        "layerfuse.backbone.again.load_parts",
        lambda source, **options: asked.append(options["blocks"]) or load_parts(source, **options),
    )
    loaded = FusionClassifier.load(tmp_path / "saved", device="cpu", offline=True)

    assert asked == [backbone.blocks.path for backbone in fitted.backbones_.values()]
    assert list(loaded.backbones_) == list(fitted.backbones_)


def test_a_classifier_loaded_with_its_backbones_keeps_them(fitted, others, tmp_path, monkeypatch):
    fitted.save(tmp_path / "saved", include_backbones=True)
    loaded = quiet(FusionClassifier.load(tmp_path / "saved", device="cpu"))
    loaded.save(tmp_path / "saved")
    monkeypatch.setenv("HOME", str(tmp_path))
    again = quiet(FusionClassifier.load("~/saved", device="cpu"))
    assert (tmp_path / "saved" / "backbones").is_dir()
    assert again.portable_
    assert np.array_equal(again.predict_proba(others), fitted.predict_proba(others))


@pytest.mark.parametrize("weights", [None, "balanced", {1: 2.0, 4: 1.0}])
def test_class_weights_come_back(toy, tiny_encoder, tmp_path, weights):
    texts, topics = toy(24)
    labels = [1 if topic == "calm" else 4 for topic in topics]
    options = {"device": "cpu", "cache": None, "progress": False, "head": "ridge"}
    classifier = FusionClassifier([tiny_encoder], class_weight=weights, **options)
    classifier.fit(texts, labels).save(tmp_path / "saved")
    assert FusionClassifier.load(tmp_path / "saved", device="cpu").class_weight == weights


def test_whoever_may_read_the_folder_may_read_its_weights(fitted, tmp_path):
    fitted.save(tmp_path / "saved", include_backbones=True)
    files = [path for path in (tmp_path / "saved").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {(tmp_path / "saved" / "README.md")
                                                               .stat().st_mode & 0o777}  # fmt: skip


def test_a_backbone_is_found_from_every_folder(toy, tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny_encoder.parent)
    options = {"device": "cpu", "cache": None, "progress": False, "head": "ridge"}
    fitted = FusionClassifier([tiny_encoder.name], lexical=False, **options).fit(*toy(30))
    monkeypatch.chdir(tmp_path)  # where that name means nothing
    fitted.save(tmp_path / "saved")
    assert FusionClassifier.load(tmp_path / "saved", device="cpu", offline=True).classes_.size


@pytest.fixture
def own_code(tiny_encoder, tmp_path, modules_of_models):
    """Make a backbone that comes with Python code of its own."""
    folder = tmp_path / "own"
    shutil.copytree(tiny_encoder, folder)
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "own"
    config["auto_map"] = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(
        "from transformers import BertConfig, BertModel\n"
        "class OwnConfig(BertConfig):\n    model_type = 'own'\n"
        "class OwnModel(BertModel):\n    config_class = OwnConfig\n"
    )
    return Backbone.from_pretrained(folder, trust_remote_code=True, device="cpu")


@pytest.mark.parametrize("include_backbones", [False, True])
def test_code_of_a_backbone_runs_only_where_it_is_trusted(
    own_code, toy, tmp_path, include_backbones
):
    options = {"device": "cpu", "cache": None, "progress": False, "head": "ridge"}
    texts, labels = toy(30)
    fitted = FusionClassifier([own_code], lexical=False, **options).fit(texts, labels)
    fitted.save(tmp_path / "saved", include_backbones=include_backbones)
    with pytest.raises(BackboneLoadError, match="trust_remote_code=True"):
        FusionClassifier.load(tmp_path / "saved", device="cpu")
    loaded = FusionClassifier.load(tmp_path / "saved", device="cpu", trust_remote_code=True)
    assert np.array_equal(quiet(loaded).predict_proba(texts), fitted.predict_proba(texts))


@pytest.fixture
def taught(toy):
    """Fit on backbones that are loaded already; all of them are in use."""

    def fit(*backbones: Backbone, **options) -> FusionClassifier:
        plain = {"selector": "best", "k": 1, "head": "ridge", "lexical": False, "cache": None}
        plain |= {"device": "cpu", "progress": False}
        return FusionClassifier(backbones, **(plain | options)).fit(*toy(40))

    return fit


OWN = {"max_tokens": 16, "dtype": "bfloat16", "name": "mine"}


@pytest.mark.parametrize("pooling", ["max", ["max", "mean"]])
def test_settings_of_a_ready_backbone_are_those_of_the_loaded(
    taught, toy, tiny_encoder, tmp_path, pooling
):
    """Also after a clone, which has parameters only, and after saving what was loaded."""
    fitted = taught(Backbone.from_pretrained(tiny_encoder, pooling=pooling, device="cpu", **OWN))
    fitted.save(tmp_path / "once")
    FusionClassifier.load(tmp_path / "once", device="cpu").save(tmp_path / "twice")
    config = json.loads((tmp_path / "once" / "config.json").read_text("utf-8"))
    assert config["parameters"]["pooling"] is None  # as in folders of before
    for name in ("once", "twice"):
        loaded = quiet(FusionClassifier.load(tmp_path / name, device="cpu"))
        asked = loaded.get_params()
        assert (asked["pooling"], asked["max_tokens"], asked["dtype"]) == (None, None, "bfloat16")
        again = clone(loaded).set_params(cache=None).fit(*toy(40))
        assert again.selection_ == fitted.selection_
        assert again.backbones_["mine"].spec == fitted.backbones_["mine"].spec
        assert np.array_equal(again.predict_proba(toy(9)[0]), fitted.predict_proba(toy(9)[0]))


@pytest.mark.parametrize(
    "own",
    [{"pooling": "max"}, {"max_tokens": 16}, {"dtype": "bfloat16"}, {"skip_first_token": True}],
)
def test_each_backbone_is_fitted_anew_with_its_own_settings(
    taught, toy, tiny_encoder, tiny_decoder, tmp_path, own
):
    plain = Backbone.from_pretrained(tiny_encoder, device="cpu", prompt="so: ")
    other = Backbone.from_pretrained(tiny_decoder, device="cpu", name="mine", **own)
    fitted = taught(plain, other)
    fitted.save(tmp_path / "saved")
    loaded = quiet(FusionClassifier.load(tmp_path / "saved", device="cpu")).set_params(cache=None)
    again = clone(loaded).fit(*toy(40))
    for name, backbone in fitted.backbones_.items():
        assert again.backbones_[name].spec == backbone.spec
    assert np.array_equal(again.predict_proba(toy(9)[0]), fitted.predict_proba(toy(9)[0]))


def test_a_backbone_that_joins_a_loaded_classifier_has_its_own_defaults(
    make, toy, tiny_encoder, tiny_decoder, tmp_path
):
    make().fit(*toy(40)).save(tmp_path / "saved")
    loaded = quiet(FusionClassifier.load(tmp_path / "saved", device="cpu")).set_params(cache=None)
    for joining in (str(tiny_decoder), Backbone.from_pretrained(tiny_decoder, device="cpu")):
        both = clone(loaded).set_params(backbones=[*loaded.backbones, joining])
        assert [b.spec.poolings for b in both.load_backbones()] == [
            ("mean", "first"),
            ("mean", "last"),
        ]


def test_settings_that_were_asked_for_are_no_mistake(taught, toy, tiny_encoder, tmp_path):
    """The poolings differ: naming a backbone does not mean the poolings it had before."""
    backbones = [
        Backbone.from_pretrained(tiny_encoder, pooling=pooling, device="cpu", name=pooling)
        for pooling in ("max", "mean")
    ]
    taught(*backbones).save(tmp_path / "saved")
    loaded = quiet(FusionClassifier.load(tmp_path / "saved", device="cpu"))
    loaded.set_params(cache=None, pooling="last", prompt=["", "so: "]).fit(*toy(40))
    assert [b.spec.poolings for b in loaded.backbones_.values()] == [("last",)] * 2
    assert list(loaded.backbones_) == ["max", "mean"]


@pytest.mark.parametrize("before", [False, True])
def test_labels_of_foreign_byte_order_come_back_in_the_own(toy, tiny_encoder, tmp_path, before):
    texts, names = toy(40)
    foreign = np.dtype(np.int32).newbyteorder("S")
    labels = np.array([name == "loud" for name in names]).astype(foreign)
    options = {"head": "ridge", "device": "cpu", "cache": None, "progress": False}
    fitted = FusionClassifier([tiny_encoder], **options).fit(texts, labels)
    assert (fitted.classes_.dtype, fitted.classes_.dtype.isnative) == (np.int32, True)
    if before:  # as folders were saved
        fitted.classes_ = fitted.classes_.astype(foreign)
    fitted.save(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text("utf-8"))
    assert (config["classes_dtype"] == foreign.str) == before
    loaded = quiet(FusionClassifier.load(tmp_path / "saved", device="cpu"))
    assert (loaded.classes_.dtype, loaded.classes_.dtype.isnative) == (np.int32, True)
    assert loaded.classes_.tolist() == [0, 1]
    assert pa.array(loaded.predict(texts)).type == pa.int32()


@pytest.mark.parametrize("include_backbones", [False, True])
def test_what_is_saved_is_of_the_tokenizer_it_was_fitted_with(
    new_encoder, toy, others, make, tmp_path, include_backbones
):
    backbone = Backbone.from_pretrained(new_encoder(), device="cpu")
    fitted = make(backbones=[backbone]).fit(*toy())
    want = fitted.predict_proba(others)
    backbone.tokenizer.truncation_side = "left"
    with pytest.raises(BackboneChangedError, match="truncation_side"):
        fitted.predict(others)
    if include_backbones:  # its tokenizer would be written
        with pytest.raises(BackboneChangedError, match="truncation_side"):
            fitted.save(tmp_path / "saved", include_backbones=True)
        assert not (tmp_path / "saved").exists()
    else:
        fitted.save(tmp_path / "saved")
        loaded = quiet(FusionClassifier.load(tmp_path / "saved", device="cpu"))
        assert np.array_equal(loaded.predict_proba(others), want)
    with pytest.raises(BackboneChangedError, match="truncation_side"):
        make(backbones=[backbone]).fit(*toy())
