"""What holds for every criterion, found by reflection so that a new one cannot be forgotten."""

import numpy as np
import pytest

from layerfuse.core.errors import (
    DataError,
    FeatureError,
    LabelError,
    ShapeError,
    UnknownOptionError,
)
from layerfuse.core.layers import LayerEmbeddings, LayerRef
from layerfuse.score import CRITERIA, CRITERION_NAMES, score_layers

CRITERION = pytest.mark.parametrize("criterion", sorted(CRITERIA))

# Folds are drawn anew when texts change places; the score then moves by its own noise.
PERMUTED_TOLERANCE = {"probe": 0.03}


def embed(*layers):
    refs = tuple(LayerRef("toy", i, "mean") for i in range(len(layers)))
    return LayerEmbeddings(np.stack(layers).astype(np.float32), refs)


def layer(shift=1.0, n_texts=150, width=8, n_classes=3, seed=0):
    """Gaussian classes, each shifted along its own axis, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_texts) % n_classes)
    features = rng.normal(size=(n_texts, width))
    features[np.arange(n_texts), labels] += shift
    return features.astype(np.float32), labels


def value(features, labels, criterion):
    return score_layers(embed(features), labels, criterion).values[0]


def test_every_criterion_has_a_name_and_only_depth_is_not_per_text():
    assert {*CRITERIA, "depth"} == set(CRITERION_NAMES)


@CRITERION
def test_more_separable_is_better_and_shuffled_labels_are_worst(criterion):
    layers = [layer(shift)[0] for shift in (0.5, 2.0, 4.0)]
    labels = layer()[1]
    scores = score_layers(embed(*layers), labels, criterion)
    assert list(scores.values) == sorted(scores.values)
    shuffled = np.random.default_rng(1).permutation(labels)
    for features, separable in zip(layers[1:], scores.values[1:], strict=True):
        assert value(features, shuffled, criterion) < separable - 0.2


@CRITERION
def test_noise_scores_like_a_guess(criterion):
    features, labels = layer(shift=0, n_texts=300)
    guess = {"loo_ridge": -2 / 3, "probe": 1 / 3}[criterion]
    assert value(features, labels, criterion) == pytest.approx(guess, abs=0.08)


@CRITERION
def test_order_of_texts_does_not_matter(criterion):
    features, labels = layer()
    order = np.random.default_rng(1).permutation(len(labels))
    assert value(features[order], labels[order], criterion) == pytest.approx(
        value(features, labels, criterion), abs=PERMUTED_TOLERANCE.get(criterion, 1e-5)
    )


@CRITERION
@pytest.mark.parametrize("width", [8, 200])
def test_order_of_features_does_not_matter(criterion, width):
    features, labels = layer(width=width)
    order = np.random.default_rng(1).permutation(width)
    assert value(features[:, order], labels, criterion) == pytest.approx(
        value(features, labels, criterion), abs=1e-5
    )


@CRITERION
def test_scale_and_shift_of_a_feature_do_not_matter(criterion):
    features, labels = layer()
    scale = np.array([1000, 1e-3, 1, 7, -1, 1, 50, 0.1], dtype=np.float32)
    shifted = features * scale + 3 * scale
    assert value(shifted, labels, criterion) == pytest.approx(
        value(features, labels, criterion), abs=1e-4
    )


@CRITERION
@pytest.mark.parametrize("n_dead", [1, 400])
def test_dead_dimensions_do_not_matter(criterion, n_dead):
    features, labels = layer()
    dead = np.full((len(labels), n_dead), 0.1, dtype=np.float32)
    dead[::2] = np.nextafter(np.float32(0.1), np.float32(1))  # rounding noise
    assert value(np.hstack([features, dead]), labels, criterion) == pytest.approx(
        value(features, labels, criterion), abs=1e-5
    )


@CRITERION
def test_a_constant_layer_is_finite_and_poor(criterion):
    """The first token of the embedding layer is the same for every text."""
    features, labels = layer()
    scores = score_layers(embed(np.full_like(features, 0.3), features), labels, criterion)
    assert scores.best.layer == 1
    guess = {"loo_ridge": -2 / 3, "probe": 1 / 3}[criterion]
    assert scores.values[0] == pytest.approx(guess, abs=0.02)


@CRITERION
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused_by_name(criterion, bad):
    features, labels = layer()
    broken = features.copy()
    broken[5, 3] = bad
    with pytest.raises(FeatureError, match=r"^toy:1:mean: .*NaN or infinity"):
        score_layers(embed(features, broken), labels, criterion)


@CRITERION
def test_one_class_is_refused(criterion):
    features, labels = layer()
    with pytest.raises(LabelError, match="at least two classes"):
        score_layers(embed(features), ["same"] * len(labels), criterion)


@CRITERION
def test_missing_labels_are_refused(criterion):
    with pytest.raises(LabelError, match=f"criterion='{criterion}' needs labels"):
        score_layers(embed(layer()[0]), None, criterion)


@CRITERION
@pytest.mark.parametrize("n_labels", [149, 151])
def test_another_number_of_labels_is_refused(criterion, n_labels):
    labels = ["a", "b"] * 100
    with pytest.raises(ShapeError, match=f"toy has 150 texts, but there are {n_labels} labels"):
        score_layers(embed(layer()[0]), labels[:n_labels], criterion)


@CRITERION
def test_labels_of_two_dimensions_are_refused(criterion):
    features, labels = layer()
    with pytest.raises(DataError, match="one column of labels"):
        score_layers(embed(features), labels[:, None], criterion)


@CRITERION
def test_the_kind_of_labels_does_not_matter(criterion):
    features, classes = layer(n_classes=2)
    scores = [
        score_layers(embed(features), labels, criterion)
        for labels in (
            classes,
            classes * 10 - 3,
            [("no", "yes")[c] for c in classes],
            classes.astype(bool),
            classes.astype(bool).tolist(),
            np.array([("no", "yes")[c] for c in classes], dtype=object),
        )
    ]
    assert all(other == scores[0] for other in scores)


@CRITERION
def test_names_of_classes_that_sort_otherwise_do_not_matter(criterion):
    features, classes = layer()
    renamed = np.array(["z", "a", "m"])[classes]
    assert value(features, renamed, criterion) == pytest.approx(
        value(features, classes, criterion), abs=1e-5
    )


@CRITERION
def test_value_and_standard_error_are_those_of_one_number_per_text(criterion):
    features, labels = layer()
    per_text = CRITERIA[criterion](features, labels)
    scores = score_layers(embed(features), labels, criterion)
    assert per_text.shape == labels.shape
    assert scores.criterion == criterion
    assert scores.values[0] == pytest.approx(np.mean(per_text))
    assert scores.standard_errors[0] == pytest.approx(np.std(per_text) / np.sqrt(len(labels)))


@CRITERION
def test_the_same_twice_and_nothing_written(criterion):
    features, labels = layer()
    before = features.copy(), labels.copy()
    assert value(features, labels, criterion) == value(features, labels, criterion)
    np.testing.assert_array_equal(features, before[0])
    np.testing.assert_array_equal(labels, before[1])


@pytest.mark.parametrize("name", ["loo-ridge", "Probe", ""])
@pytest.mark.usefixtures("unchecked")
def test_an_unknown_name_lists_the_right_ones(name):
    features, labels = layer()
    with pytest.raises(UnknownOptionError, match=", ".join(CRITERION_NAMES)):
        score_layers(embed(features), labels, name)
