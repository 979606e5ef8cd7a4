"""Mistakes are named before any work is done."""

import re

import numpy as np
import pytest
import sklearn.exceptions
from sklearn.base import clone

from layerfuse import Backbone, FusionClassifier, LayerFuseError
from layerfuse.classifier import NotFittedError
from layerfuse.core.errors import DataError, LabelError, ShapeError, UnknownOptionError


@pytest.fixture
def no_loading(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a backbone was loaded before the mistake was named")

    monkeypatch.setattr(Backbone, "from_pretrained", refuse)


@pytest.mark.usefixtures("no_loading")
@pytest.mark.parametrize(
    ("option", "value", "nearest", "also"),
    [
        ("criterion", "loo_rigde", "loo_ridge", "probe"),
        ("selector", "upper-half", "upper_half", "greedy"),
        ("fusion", "concatenate", "concat", "mean"),
        ("head", "logistics", "logistic", "ridge"),
        ("dtype", "float23", "float32", "bfloat16"),
        ("pooling", "maen", "mean", "weighted_mean"),
        ("pooling", ["mean", "lst"], "last", "first"),
        ("class_weight", "balance", "balanced", ""),
        ("class_weight", {"loud": 1.0, "clam": 2.0}, "calm", "loud"),
    ],
)
def test_an_unknown_option_is_named_with_the_choices(
    make, toy_texts, toy_labels, option, value, nearest, also
):
    with pytest.raises(UnknownOptionError) as caught:
        make(**{option: value}).fit(toy_texts, toy_labels)

    message = str(caught.value)
    assert message.startswith(f"{option}=")
    assert f"Did you mean {nearest!r}?" in message
    assert also in message.partition("Choose one of:")[2]
    assert isinstance(caught.value, ValueError)


@pytest.mark.usefixtures("no_loading")
@pytest.mark.parametrize("value", ["autom", "True", "False", None, 2])
def test_a_lexical_option_other_than_auto_or_a_bool_is_refused(make, toy_texts, toy_labels, value):
    with pytest.raises(UnknownOptionError, match="Choose 'auto', True or False"):
        make(lexical=value).fit(toy_texts, toy_labels)


@pytest.mark.usefixtures("no_loading")
@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("k", 1.5, "k=1.5: expected an integer"),
        ("cache", False, "cache=False: expected 'default', a folder, or None to keep nothing"),
        ("max_tokens", "16", "max_tokens='16': expected an integer"),
        ("prompt", None, "prompt=None: expected a string"),
        ("prompt", b"a", "prompt=b'a': expected a string"),
        ("prompt", ["a", 1], "prompt=1: expected a string"),
        ("prompt", ["a {sentence}"], "has the placeholder {sentence}. Write {text}"),
        ("pooling", 5, "pooling=5: expected one of mean, "),
        ("pooling", iter(["mean"]), "expected one of mean, .*, or a list of them"),
        ("pooling", ["mean", 5], "pooling=5 is unknown"),
        ("random_state", None, "random_state=None: expected an integer"),
        ("random_state", -1, "random_state=-1: expected 0 to 4294967295"),
        ("class_weight", 3, "class_weight=3: expected 'balanced'"),
        ("class_weight", {"calm": None}, "class_weight of 'calm': expected a number"),
    ],
)
def test_numbers_out_of_range_are_refused_before_backbones_load(
    make, toy_texts, toy_labels, option, value, said
):
    with pytest.raises(UnknownOptionError, match=said):
        make(**{option: value}).fit(toy_texts, toy_labels)


@pytest.mark.usefixtures("no_loading")
@pytest.mark.parametrize("weight", [0, -1.0, float("nan"), np.inf])
def test_a_class_weight_that_is_not_positive_is_named_by_its_label(
    make, toy_texts, toy_labels, weight
):
    with pytest.raises(LabelError, match=f"class_weight of 'loud': .* class weights, got {weight}"):
        make(class_weight={"calm": 1, "loud": weight}).fit(toy_texts, toy_labels)


@pytest.mark.usefixtures("no_loading")
@pytest.mark.parametrize("labels", [[3, 12], [True, False]])
def test_an_unknown_class_weight_is_refused_for_labels_that_are_not_strings(
    make, toy_texts, labels
):
    with pytest.raises(UnknownOptionError, match=f"class_weight=4 .*{labels[0]}"):
        make(class_weight={4: 2.0}).fit(toy_texts, labels * 24)


@pytest.mark.parametrize("option", ["fusion", "dtype", "pooling"])
def test_load_backbones_checks_the_options_of_backbones(make, option, no_loading):
    with pytest.raises(UnknownOptionError, match=f"{option}='none'"):
        make(**{option: "none"}).load_backbones()


@pytest.mark.usefixtures("no_loading")
@pytest.mark.parametrize(
    "backbones", [(), [], "all-MiniLM-L6-v2", None, 5, iter(["a"]), {"a"}, {"a": 1}]
)
def test_backbones_that_are_empty_or_no_list_are_refused(make, toy_texts, toy_labels, backbones):
    with pytest.raises(ShapeError, match="expected a list of at least one backbone"):
        make(backbones=backbones).fit(toy_texts, toy_labels)


def test_a_path_or_backbone_outside_a_list_is_refused(make, tiny_encoder):
    (loaded,) = make().load_backbones()
    for bare in (tiny_encoder, loaded):
        with pytest.raises(ShapeError, match="expected a list of at least one backbone"):
            make(backbones=bare).load_backbones()


@pytest.mark.usefixtures("no_loading")
def test_a_wrong_number_of_prompts_is_refused(make, toy_texts, toy_labels, tiny_encoder):
    for prompts in (["a"], ["a", "b", ""], []):
        classifier = make(backbones=[tiny_encoder, tiny_encoder], prompt=prompts)
        with pytest.raises(ShapeError, match=f"prompt: got {len(prompts)} for 2 backbones"):
            classifier.fit(toy_texts, toy_labels)


def test_a_prompt_other_than_that_of_a_loaded_backbone_is_refused(
    make, toy_texts, toy_labels, tiny_encoder
):
    loaded = Backbone.from_pretrained(tiny_encoder, prompt="so: ", device="cpu")
    for prompt in ("a", ["a"]):
        with pytest.raises(UnknownOptionError, match="prompt='a', but encoder was loaded with 'so"):
            make(backbones=[loaded], prompt=prompt).fit(toy_texts, toy_labels)
    for prompt in ("", "so: ", [""]):
        (same,) = make(backbones=[loaded], prompt=prompt).load_backbones()
        assert same is loaded


@pytest.mark.parametrize(
    ("option", "has", "given", "same"),
    [
        ("pooling", "max", ["mean", ["max", "mean"], []], ["max", ["max"], ("max",), None]),
        (
            "pooling",
            ["max", "mean"],
            ["max", ["mean", "max"]],
            [["max", "mean"], ("max", "mean"), None],
        ),
        ("max_tokens", 16, [15, 64], [16, np.int64(16), None]),
        ("dtype", "float32", ["bfloat16"], ["float32"]),
        ("dtype", "bfloat16", [], ["bfloat16", "float32"]),  # which may not have been given
    ],
)
def test_settings_other_than_those_of_a_loaded_backbone_are_refused(
    make, toy_texts, toy_labels, tiny_encoder, option, has, given, same
):
    loaded = Backbone.from_pretrained(tiny_encoder, device="cpu", **{option: has})
    for value in given:
        said = re.escape(f"{option}={value!r}, but encoder was loaded with {has!r}. Pass")
        with pytest.raises(UnknownOptionError, match=said):
            make(backbones=[loaded], **{option: value}).fit(toy_texts, toy_labels)
        with pytest.raises(UnknownOptionError, match=said):
            make(backbones=["nowhere", loaded], **{option: value}).load_backbones()
    for value in same:
        (backbone,) = clone(make(backbones=[loaded], **{option: value})).load_backbones()
        assert backbone is loaded


def test_two_loaded_backbones_of_the_same_name_are_refused(
    make, tiny_encoder, toy_texts, toy_labels
):
    two = [Backbone.from_pretrained(tiny_encoder, pooling=p, device="cpu") for p in ("max", "mean")]

    with pytest.raises(ShapeError, match=r"different names, got encoder, encoder.*name="):
        make(backbones=two).fit(toy_texts, toy_labels)


def test_a_backbone_given_twice_is_refused(make, tiny_encoder, toy_texts, toy_labels):
    for prompts, same in ((("", ""), "''"), (("a", "b", "b"), "'b'")):
        classifier = make(backbones=[tiny_encoder] * len(prompts), prompt=prompts)
        with pytest.raises(
            ShapeError, match=f"encoder is given twice, with the same prompt {same}"
        ):
            classifier.fit(toy_texts, toy_labels)


def test_the_same_model_under_two_names_is_accepted(make, tiny_encoder, toy_texts, toy_labels):
    pooled = Backbone.from_pretrained(tiny_encoder, pooling="max", name="max", device="cpu")
    classifier = make(backbones=[tiny_encoder, pooled]).fit(toy_texts, toy_labels)

    assert list(classifier.backbones_) == ["encoder", "max"]


@pytest.mark.usefixtures("no_loading")
@pytest.mark.parametrize(
    ("texts", "labels", "error", "message"),
    [
        ("a text", ["a"], DataError, r"got one string. Put it in a list: \[text\]"),
        ([], [], DataError, "Expected at least one text"),
        (["a", None, "b", "c"], [0, 1, 0, 1], DataError, "row 2 is None"),
        (["a", "b", 3.5, "c"], [0, 1, 0, 1], DataError, "row 3 is 3.5"),
        (np.array([["a"], ["b"]]), [0, 1], DataError, r"ndarray of shape \(2, 1\)"),
        (["a", "b", "c", "d"], [0, 1, 0], ShapeError, "got 3 for 4"),
        (["a", "b", "c", "d"], "abab", DataError, "Expected a list of labels, got one string"),
        (["a", "b", "c", "d"], ["x"] * 4, LabelError, "all 4 rows have label 'x'"),
        (["a", "b", "c"], ["x", "y", "x"], LabelError, "'y' has 1"),
        (["a", "b", "c", "d"], [0, 1, None, 1], LabelError, "missing in 1 of 4 data rows: 3"),
        (["a", "b", "c", "d"], ["x", float("nan"), "x", "y"], LabelError, "missing .*: 2"),
        (["a", "b", "c", "d"], [0.5, 1.5, 0.5, 1.5], LabelError, "all str, all int or all bool"),
        (["a", "b", "c", "d"], [0, "1", 0, "1"], LabelError, r"int \(data row 1\) and str"),
        (["a", "b", "c", "d"], np.array([[0, 1], [1, 0]]), DataError, r"of shape \(2, 2\)"),
    ],
)
def test_invalid_texts_and_labels_are_refused_before_backbones_load(
    make, texts, labels, error, message
):
    with pytest.raises(error, match=message):
        make().fit(texts, labels)


@pytest.mark.parametrize("bad", ["one text", None, ["a", None], [b"bytes"], []])
def test_predict_refuses_what_is_not_texts(make, toy_texts, toy_labels, bad):
    classifier = make().fit(toy_texts, toy_labels)

    with pytest.raises((DataError, TypeError)):
        classifier.predict(bad)


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "decision_function", "transform", "save"]
)
def test_every_method_raises_not_fitted_before_fit(make, method, tmp_path):
    with pytest.raises(NotFittedError, match="not fitted") as caught:
        getattr(make(), method)(tmp_path if method == "save" else ["a"])

    assert isinstance(caught.value, sklearn.exceptions.NotFittedError)
    assert isinstance(caught.value, LayerFuseError)


def test_a_failed_first_fit_leaves_the_classifier_unfitted(
    make, toy_texts, toy_labels, monkeypatch
):
    def fail(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("layerfuse.classifier.estimator.fuse_best", fail)
    classifier = make()
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(toy_texts, toy_labels)

    with pytest.raises(NotFittedError):
        classifier.predict(toy_texts)
    assert not [name for name in vars(classifier) if name.endswith("_")]


def test_a_failed_second_fit_keeps_the_first(make, toy, monkeypatch):
    texts, labels = toy()
    classifier = make(selector="best").fit(texts, labels)
    before = classifier.predict_proba(texts)

    def fail(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("layerfuse.classifier.estimator.fuse_best", fail)
    classifier.set_params(selector="upper_half")
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(*toy(30, ("calm", "wild")))

    assert classifier.classes_.tolist() == ["calm", "loud"]
    assert np.array_equal(classifier.predict_proba(texts), before)


def test_a_missing_model_folder_is_named(make, toy_texts, toy_labels, tmp_path):
    with pytest.raises(LayerFuseError, match=r"nowhere does not exist"):
        make(backbones=[tmp_path / "nowhere"]).fit(toy_texts, toy_labels)


def test_the_constructor_checks_nothing():
    FusionClassifier(["no-such-model"], fusion="nothing", k=-1, class_weight={"x": 1})


def test_a_backbone_that_is_no_name_is_not_looked_for(make, tiny_encoder):
    """Its text was looked for on the disk and on the hub."""
    for wrong in (None, b"bytes", 3):
        with pytest.raises(UnknownOptionError, match="names, paths or Backbone objects, got "):
            make(backbones=[wrong]).load_backbones()
    with pytest.raises(ShapeError, match=r"at least one backbone\. Put it in a list\.$"):
        make(backbones=str(tiny_encoder)).load_backbones()
