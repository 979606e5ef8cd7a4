"""Labels, decisions, probabilities and vectors of a fitted classifier."""

from importlib import import_module

import numpy as np
import pytest
from tqdm import tqdm

from layerfuse import LayerRef
from layerfuse.learn import Schedule

TOPICS = ("calm", "loud", "wild")


@pytest.fixture
def held_out(toy):
    return toy(60, seed=9)


@pytest.mark.parametrize("head", ["auto", "ridge", "logistic"])
@pytest.mark.parametrize("fusion", ["concat", "mean"])
def test_accuracy_on_new_texts_is_high_for_every_fusion_and_head(
    make, toy, held_out, tiny_encoder, tiny_decoder, fusion, head
):
    backbones = [tiny_encoder, tiny_decoder]
    classifier = make(backbones=backbones, fusion=fusion, head=head).fit(*toy(80))

    assert classifier.score(*held_out) > 0.8


def test_held_out_accuracy_on_random_labels_is_that_of_chance(make, toy):
    texts, topics = toy(200)
    # Labels are balanced within each topic, so that topics predict nothing by coincidence.
    labels = np.repeat(["x", "y"], 2)[np.arange(200) % 4]
    others = toy(400, seed=8)[0]
    classifier = make(head="auto").fit(texts, labels)
    honest = make(head="auto").fit(texts, topics)

    assert 0.4 < classifier.score(others, labels[np.arange(400) % 200]) < 0.6
    assert [c.kind for c in classifier.validation_] == ["ridge", "logistic", "blend"]
    for by_chance, real in zip(classifier.validation_, honest.validation_, strict=True):
        assert by_chance.accuracy < 0.62
        assert by_chance.log_loss > 0.65
        assert real.accuracy > 0.85


@pytest.mark.parametrize("selector", ["top", "greedy", "best"])
def test_a_constant_first_token_is_never_chosen(make, toy, selector):
    """With random labels, a constant layer scores best, but no head can be fitted on it."""
    texts, _ = toy(60)
    for seed in range(8):
        labels = np.random.default_rng(seed).integers(2, size=60)
        classifier = make(selector=selector, k=1).fit(texts, labels)
        if (best := classifier.scores_.best) not in classifier.selection_:
            break
    assert (best.layer, best.pooling) == (0, "first")


@pytest.mark.parametrize("head", ["ridge", "logistic"])
def test_weights_of_absent_classes_change_nothing(make, toy, head):
    texts, labels = toy()
    weights = {"calm": 2.0, "loud": 1.0}
    with_more, plain = (
        make(head=head, class_weight=own).fit(texts, labels).decision_function(texts)
        for own in (weights | {"wild": 9.0}, weights)
    )
    np.testing.assert_array_equal(with_more, plain)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_tf_idf_head_joins_the_layers_and_is_saved_with_them(make, toy, tmp_path, n_classes):
    texts, labels = toy(60, TOPICS[:n_classes])
    others, truth = toy(60, TOPICS[:n_classes], seed=9)
    classifier = make(lexical="auto").fit(texts, labels)
    alone = make().fit(texts, labels)
    classifier.save(tmp_path / "saved")
    loaded = type(classifier).load(tmp_path / "saved").set_params(progress=False)

    assert [c.kind for c in classifier.validation_] == ["ridge", "lexical", "pooled"]
    assert classifier.head_.lexical is not None
    assert classifier.score(others, truth) >= alone.score(others, truth)
    probabilities = classifier.predict_proba(others)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    predicted = classifier.classes_[probabilities.argmax(1)].tolist()
    assert classifier.predict(others).tolist() == predicted
    assert np.array_equal(loaded.predict_proba(others), probabilities)
    assert np.array_equal(loaded.decision_function(others), classifier.decision_function(others))
    assert " + TF-IDF`" in (tmp_path / "saved" / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(["no", "yes"], id="str"),
        pytest.param(["ja", "ça", "é"], id="three str"),
        pytest.param([7, -3], id="int"),
        pytest.param([True, False], id="bool"),
    ],
)
def test_predicted_labels_have_the_type_of_the_given_ones(make, toy, values):
    texts, topics = toy(48, TOPICS[: len(values)])
    labels = [values[TOPICS.index(topic)] for topic in topics]
    classifier = make().fit(texts, labels)
    predicted = classifier.predict(texts).tolist()

    assert classifier.classes_.tolist() == sorted(values)
    assert {type(label) for label in predicted} == {type(values[0])}
    assert np.mean([p == label for p, label in zip(predicted, labels, strict=True)]) > 0.8


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint16", "int64", "bool"])
def test_numpy_labels_keep_their_dtype_when_saved_and_loaded(make, toy, tmp_path, dtype):
    texts, topics = toy()
    labels = np.array([topic == "loud" for topic in topics]).astype(dtype)
    classifier = make().fit(texts, labels)
    classifier.save(tmp_path / "saved")

    assert classifier.predict(texts).dtype == labels.dtype
    assert type(classifier).load(tmp_path / "saved").predict(texts).dtype == labels.dtype


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("head", ["ridge", "logistic"])
def test_decisions_probabilities_and_labels_agree(make, toy, n_classes, head):
    texts, labels = toy(60, TOPICS[:n_classes])
    others, _ = toy(40, TOPICS, seed=3)
    classifier = make(head=head).fit(texts, labels)
    decisions = classifier.decision_function(others)
    probabilities = classifier.predict_proba(others)
    predicted = classifier.predict(others)

    best = decisions.argmax(1) if n_classes > 2 else (decisions > 0).astype(int)
    assert decisions.shape == ((40, n_classes) if n_classes > 2 else (40,))
    assert predicted.tolist() == classifier.classes_[best].tolist()
    assert probabilities.shape == (40, n_classes)
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-12)
    assert predicted.tolist() == classifier.classes_[probabilities.argmax(1)].tolist()
    assert len(set(predicted)) == n_classes


def test_probabilities_of_new_texts_are_calibrated(make, toy):
    texts, labels = toy(200)
    others, truth = toy(400, seed=5)
    classifier = make().fit(texts, labels)
    probabilities = classifier.predict_proba(others)
    given = probabilities[np.arange(400), np.searchsorted(classifier.classes_, truth)]

    assert -np.log(given).mean() < 0.5 * np.log(2)
    assert abs(probabilities.max(1).mean() - classifier.score(others, truth)) < 0.1


def test_transform_returns_the_vectors_that_the_head_reads(make, toy, tiny_encoder, tiny_decoder):
    texts, labels = toy()
    classifier = make(backbones=[tiny_encoder, tiny_decoder]).fit(texts, labels)
    vectors = classifier.transform(texts[:5])

    assert vectors.shape == (5, 32 * len(classifier.selection_))
    assert vectors.dtype == np.float32
    decisions = classifier.head_.decisions(vectors, texts[:5])
    np.testing.assert_allclose(
        decisions[:, 1] - decisions[:, 0], classifier.decision_function(texts[:5]), atol=1e-4
    )


def test_prediction_of_a_text_is_independent_of_the_others(make, toy):
    texts, labels = toy()
    classifier = make().fit(texts, labels)
    together = classifier.predict_proba(texts)
    alone = np.concatenate([classifier.predict_proba([text]) for text in texts[:6]])

    np.testing.assert_allclose(alone, together[:6], atol=1e-5)


def test_predictions_in_parts_equal_those_of_the_whole(make, toy, monkeypatch):
    texts, labels = toy()
    classifier = make().fit(texts, labels)
    whole = classifier.decision_function(texts)
    monkeypatch.setattr("layerfuse.classifier.blocks._TEXTS", 7)

    np.testing.assert_allclose(classifier.decision_function(texts), whole, atol=1e-4)
    assert classifier.transform(texts).shape[0] == len(texts)


def test_duplicate_and_empty_texts_can_be_fitted_and_predicted(make, toy):
    texts, labels = toy()
    classifier = make().fit([*texts, texts[0], "", ""], [*labels, labels[0], "calm", "loud"])
    probabilities = classifier.predict_proba(["", texts[0], texts[0], ""])

    assert np.isfinite(probabilities).all()
    assert probabilities[0].tolist() == probabilities[3].tolist()
    assert probabilities[1].tolist() == probabilities[2].tolist()


def test_all_layers_are_scored_and_backbones_are_cut_at_the_deepest_in_use(
    make, toy, tiny_encoder, tiny_decoder
):
    texts, labels = toy()
    backbones = [tiny_encoder, tiny_decoder]
    classifier = make(backbones=backbones, selector="best", k=1).fit(texts, labels)

    expected = {LayerRef("encoder", i, p) for i in range(4) for p in ("mean", "first")}
    expected |= {LayerRef("decoder", i, p) for i in range(4) for p in ("mean", "last")}
    assert set(classifier.scores_.refs) == expected
    assert [ref.backbone for ref in classifier.selection_] == ["encoder", "decoder"]
    for name, backbone in classifier.backbones_.items():
        (ref,) = [ref for ref in classifier.selection_ if ref.backbone == name]
        assert classifier.scores_.of(name).best == ref
        assert backbone.deepest == ref.layer
        assert backbone.blocks.n_layers == max(1, ref.layer)


def prefer_layer_1(features, labels):
    """Score a layer by how near the norm of its vectors is to that of layer 1."""
    return -abs(float(np.linalg.norm(features, axis=1).mean()) - prefer_layer_1.norm)


def test_blocks_after_the_deepest_layer_in_use_are_removed(make, toy, tiny_encoder, monkeypatch):
    texts, labels = toy()
    (whole,) = make().load_backbones()
    layer_1 = whole.embed(texts, [1], progress=False).values[0]
    prefer_layer_1.norm = float(np.linalg.norm(layer_1, axis=1).mean())
    monkeypatch.setattr("layerfuse.backbone.backbone.fastest_kernel", lambda: "onednn")
    classifier = make(criterion=prefer_layer_1, selector="best").fit(texts, labels)
    (kept,) = classifier.backbones_.values()

    assert classifier.scores_.criterion == "prefer_layer_1"
    assert [str(ref) for ref in classifier.selection_] == ["encoder:1:mean"]
    assert (kept.deepest, len(kept.model.encoder.layer)) == (1, 1)
    assert len(whole.model.encoder.layer) == 3
    assert classifier.overhead_.n_parameters == kept.n_parameters < whole.n_parameters
    assert classifier.overhead_.n_texts == len(texts)
    assert classifier.overhead_.wall_seconds > 0
    assert classifier.overhead_.kernel == "onednn"


def test_a_backbone_that_is_not_selected_is_dropped(make, toy, tiny_encoder, new_encoder):
    texts, labels = toy()
    twin = new_encoder("twin")  # the same weights, so that its layers add nothing
    classifier = make(backbones=[tiny_encoder, twin], selector="greedy").fit(texts, labels)

    assert set(classifier.scores_.backbones) == {"encoder", "twin"}
    assert set(classifier.backbones_) == set(classifier.selection_.backbones) == {"encoder"}
    assert classifier.predict(texts[:3]).shape == (3,)


def test_class_weights_move_decisions_towards_the_heavy_class(make, toy):
    texts, labels = toy(80)
    labels = np.random.default_rng(0).permutation(labels)  # only the class weights can be learned
    share = {
        weight: np.mean(
            make(class_weight={"loud": weight}).fit(texts, labels).predict(texts) == "loud"
        )
        for weight in (0.1, 1.0, 10.0)
    }

    assert share[0.1] < share[1.0] < share[10.0]


def test_balanced_class_weights_favour_the_rare_class(make, toy):
    texts, labels = toy(80)
    texts = texts[::2] + texts[1:16:2]  # 40 calm, 8 loud
    labels = labels[::2] + labels[1:16:2]
    by_hand = {"calm": 48 / (2 * 40), "loud": 48 / (2 * 8)}
    plain, balanced, weighted = (
        make(class_weight=weight).fit(texts, labels).decision_function(texts)
        for weight in (None, "balanced", by_hand)
    )

    np.testing.assert_allclose(balanced, weighted, atol=1e-6)
    assert balanced.mean() > plain.mean() + 0.1  # "loud", the rare class, is the second


def test_class_weights_of_integer_labels_reach_the_right_class(make, toy):
    texts, topics = toy(80)
    labels = np.random.default_rng(0).permutation([5 if t == "calm" else 9 for t in topics])
    light, heavy = (
        np.mean(make(class_weight={9: weight}).fit(texts, labels).predict(texts) == 9)
        for weight in (0.1, 10)
    )

    assert light < heavy


@pytest.mark.parametrize("head", ["ridge", "logistic"])
def test_only_ratios_of_class_weights_matter(make, toy, head):
    texts, labels = toy(60)
    rng = np.random.default_rng(0)
    labels = [rng.choice(["calm", "loud"]) if rng.random() < 0.2 else label for label in labels]
    one, many = (
        make(head=head, lexical=True, class_weight={"calm": 2 * w, "loud": w})
        .fit(texts, labels)
        .decision_function(texts)
        for w in (1, 100)
    )
    np.testing.assert_allclose(one, many, atol=1e-4)


def test_training_of_networks_shows_epochs_only_with_progress(make, toy, monkeypatch):
    """``disable=None`` makes tqdm show a bar only on a terminal; gates use it too."""
    disabled = []

    def bar(*, disable, **options):
        disabled.append(disable)
        return tqdm(disable=True, **options)

    monkeypatch.setattr(import_module("layerfuse.learn.learn"), "tqdm", bar)
    monkeypatch.setattr("layerfuse.train.mlp._SCHEDULE", Schedule(max_epochs=1))
    for progress in (True, False):
        make(head="mlp", progress=progress).fit(*toy(40))
    assert disabled == [None] * 5 + [True] * 5
