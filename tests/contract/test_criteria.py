"""What holds for every criterion, found by reflection so that a new one cannot be forgotten."""

import importlib
import pickle
import pkgutil
from pathlib import Path

import numpy as np
import pytest

import layerfuse.score
from layerfuse.core.errors import (
    DataError,
    FeatureError,
    LabelError,
    ShapeError,
    SignalError,
    UnknownOptionError,
)
from layerfuse.core.layers import LayerEmbeddings, LayerRef
from layerfuse.core.signals import LayerSignals
from layerfuse.score import CRITERIA, CRITERION_NAMES, CriterionInfo, criterion_info, score_layers
from layerfuse.score.info import Evidence

ALL = sorted(CRITERIA)
LABELLED = [name for name in ALL if not CRITERIA[name].label_free]
READS_FEATURES = [
    name
    for name in ALL
    if name not in {"depth", "attention_entropy", "backbone_gradient"}  # these look at no feature
]
LEARNS = [name for name in READS_FEATURES if CRITERIA[name].needs == {"labels"}]
NEEDS_SIGNALS = [name for name in ALL if CRITERIA[name].signals]

EVERY = pytest.mark.parametrize("criterion", ALL)
LABELLED_ONES = pytest.mark.parametrize("criterion", LABELLED)
FEATURES_READ = pytest.mark.parametrize("criterion", READS_FEATURES)
LEARNING = pytest.mark.parametrize("criterion", LEARNS)

# Folds, or the order of learning, are drawn anew when texts change places; the score then moves by
# its own noise.
PERMUTED_TOLERANCE = {"probe": 0.06, "mdl": 0.2}

# A head on all layers leans on whichever tells it something; it leans hardest where nothing does,
# and so tells layers of one task apart, not tasks.
COMPARES_LAYERS_ONLY = {"gradient"}

# What of the published definitions depends on the scale of features or the number of directions.
STANDARDISES = ["loo_ridge", "probe", "gradient", "mdl", "fisher", "knn", "transrate", "gbc"]
STANDARDISES += ["cka_label"]


def embed(*layers):
    """Stack layers 1, 2, ... of a backbone."""
    refs = tuple(LayerRef("toy", i, "mean") for i in range(1, len(layers) + 1))
    return LayerEmbeddings(np.stack(layers).astype(np.float32), refs)


def signals(name="attention_entropy", backbone="toy", layers=(1, 2, 3)):
    values = np.random.default_rng(7).random((20, len(layers)))
    return LayerSignals(name, backbone, tuple(layers), values)


BOTH = (signals(), signals("backbone_gradient"))


def problem(width=8, n_texts=150, shifts=(0.5, 2.0, 4.0), n_classes=3):
    """Return three layers of Gaussian classes, each class shifted along its own axis; labels."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(n_texts) % n_classes)
    layers = []
    for shift in shifts:
        features = rng.normal(size=(n_texts, width))
        features[np.arange(n_texts), labels] += shift
        layers.append(features.astype(np.float32))
    return layers, labels


def score(layers, labels, criterion):
    return np.array(score_layers(embed(*layers), labels, criterion, signals=BOTH).values)


def test_every_file_that_defines_a_criterion_is_in_the_table():
    written = {}
    for found in pkgutil.iter_modules(layerfuse.score.__path__):
        # By name: the package shows functions of the same names as their modules.
        module = importlib.import_module(f"layerfuse.score.{found.name}")
        own = getattr(module, found.name.upper(), None)
        if isinstance(own, CriterionInfo):
            written[found.name] = own
    assert written == dict(CRITERIA)
    assert set(written) == set(CRITERION_NAMES)


@EVERY
def test_every_criterion_says_what_it_is(criterion):
    info = criterion_info(criterion)
    assert info.name == criterion
    for text in (info.cost, info.source, info.summary):
        assert text
        assert "\n" not in text
    if info.label_free:
        assert info.warning, "a criterion that knows no labels has to say so"


@EVERY
def test_every_file_gives_its_source(criterion):
    file = Path(layerfuse.score.__file__).with_name(f"{criterion}.py")
    text = file.read_text(encoding="utf-8")
    assert "arXiv:" in text or any(f" {year}" in text for year in range(1936, 2027))


@EVERY
def test_every_criterion_may_be_copied_to_another_process(criterion):
    """As scikit-learn does with a classifier that has one for its parameter."""
    again = pickle.loads(pickle.dumps(criterion_info(criterion)))
    layers, labels = problem()
    np.testing.assert_array_equal(score(layers, labels, again), score(layers, labels, criterion))


@LEARNING
def test_what_separates_is_better_than_noise(criterion):
    layers, labels = problem(shifts=(0.0, 2.0, 4.0))
    values = score(layers, labels, criterion)
    assert values[0] < values[1] < values[2]


@pytest.mark.parametrize("criterion", sorted({*LEARNS} - COMPARES_LAYERS_ONLY))
def test_separable_is_better_than_shuffled(criterion):
    layers, labels = problem(shifts=(1.0, 2.0, 4.0))
    shuffled = np.random.default_rng(1).permutation(labels)
    assert (score(layers, labels, criterion) > score(layers, shuffled, criterion)).all()


@EVERY
@pytest.mark.parametrize("width", [8, 40])
def test_order_of_texts_does_not_matter(criterion, width):
    layers, labels = problem(width=width)
    order = np.random.default_rng(1).permutation(len(labels))
    np.testing.assert_allclose(
        score([features[order] for features in layers], labels[order], criterion),
        score(layers, labels, criterion),
        atol=PERMUTED_TOLERANCE.get(criterion, 1e-5),
    )


@FEATURES_READ
@pytest.mark.parametrize(("width", "n_texts"), [(8, 150), (200, 60)])
def test_order_of_features_does_not_matter(criterion, width, n_texts):
    layers, labels = problem(width, n_texts)
    order = np.random.default_rng(1).permutation(width)
    np.testing.assert_allclose(
        score([features[:, order] for features in layers], labels, criterion),
        score(layers, labels, criterion),
        rtol=1e-4,
        atol=1e-5,
    )


@FEATURES_READ
def test_every_feature_twice_keeps_the_order_of_layers(criterion):
    layers, labels = problem()
    once = score(layers, labels, criterion)
    twice = score([np.hstack([features, features]) for features in layers], labels, criterion)
    np.testing.assert_array_equal(np.argsort(once), np.argsort(twice))


@FEATURES_READ
def test_more_features_than_texts_are_scored(criterion):
    layers, labels = problem(width=300, n_texts=30, shifts=(0.0, 0.0, 30.0))
    values = score(layers, labels, criterion)
    assert np.isfinite(values).all()
    if criterion in LEARNS and criterion != "transrate":  # which counts directions, also of noise
        assert values[2] == values.max()


@FEATURES_READ
@pytest.mark.parametrize("n_dead", [1, 400])
def test_dead_dimensions_break_nothing(criterion, n_dead):
    layers, labels = problem()
    dead = np.full((len(labels), n_dead), 0.1, dtype=np.float32)
    dead[::2] = np.nextafter(np.float32(0.1), np.float32(1))  # rounding noise
    before = score(layers, labels, criterion)
    after = score([np.hstack([features, dead]) for features in layers], labels, criterion)
    if criterion != "anisotropy":  # to which a common direction is a direction
        np.testing.assert_array_equal(np.argsort(before), np.argsort(after))
    if criterion in STANDARDISES:
        np.testing.assert_allclose(after, before, atol=1e-4)


@pytest.mark.parametrize("criterion", STANDARDISES)
def test_scale_and_shift_of_a_feature_do_not_matter(criterion):
    layers, labels = problem()
    scale = np.array([1000, 1e-3, 1, 7, -1, 1, 50, 0.1], dtype=np.float32)
    moved = [features * scale + 3 * scale for features in layers]
    np.testing.assert_allclose(
        score(moved, labels, criterion), score(layers, labels, criterion), atol=5e-4
    )


@FEATURES_READ
def test_a_constant_layer_is_finite_and_poor(criterion):
    """The first token of the embedding layer is the same for every text."""
    layers, labels = problem(shifts=(2.0, 2.0, 4.0))
    layers[1] = np.full_like(layers[1], 0.3)
    values = score(layers, labels, criterion)
    assert np.isfinite(values).all()
    if len(values) == 3 and criterion != "importance":  # which knows more than features
        assert values[1] == values.min()


@FEATURES_READ
def test_zeros_are_finite(criterion):
    layers, labels = problem()
    layers[1] = np.zeros_like(layers[1])
    assert np.isfinite(score(layers, labels, criterion)).all()
    assert np.isfinite(score([np.zeros_like(f) for f in layers], labels, criterion)).all()


@LEARNING
def test_a_feature_that_is_the_label_is_finite_and_best(criterion):
    layers, labels = problem(n_classes=2)
    layers[1] = np.repeat(labels[:, None], 8, axis=1).astype(np.float32)
    values = score(layers, labels, criterion)
    assert np.isfinite(values).all()
    if criterion != "hscore":  # features alike are shrunk together
        assert values[1] == values.max()


@FEATURES_READ
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused_by_name(criterion, bad):
    layers, labels = problem()
    layers[1] = layers[1].copy()
    layers[1][5, 3] = bad
    with pytest.raises(FeatureError, match=r"^toy:2:mean: .*NaN or infinity"):
        score(layers, labels, criterion)


@LABELLED_ONES
def test_one_class_is_refused(criterion):
    layers, labels = problem()
    with pytest.raises(LabelError, match="at least two classes"):
        score(layers, ["same"] * len(labels), criterion)


@LABELLED_ONES
def test_classes_without_texts_do_not_change_the_score(criterion):
    """A function of the caller may score only some of the texts."""
    layers, labels = problem()
    info, given = criterion_info(criterion), {signal.name: signal for signal in BOTH}
    with_gaps = np.array([1, 2, 5])[labels]
    want, got = (
        info.scorer(Evidence(embed(*layers), classes, given)) for classes in (labels, with_gaps)
    )
    assert list(got) == list(want)
    for ref, value in want.items():
        np.testing.assert_allclose(got[ref], value, rtol=1e-6)


@LABELLED_ONES
def test_missing_labels_are_refused(criterion):
    with pytest.raises(LabelError, match=f"criterion='{criterion}' needs labels"):
        score(problem()[0], None, criterion)


@pytest.mark.parametrize("criterion", sorted({*ALL} - {*LABELLED}))
def test_who_needs_no_labels_does_not_look_at_them(criterion):
    layers, labels = problem()
    without = score(layers, None, criterion)
    np.testing.assert_array_equal(without, score(layers, labels, criterion))
    np.testing.assert_array_equal(without, score(layers, ["one class"] * 3, criterion))


@LABELLED_ONES
@pytest.mark.parametrize("n_labels", [149, 151])
def test_another_number_of_labels_is_refused(criterion, n_labels):
    labels = ["a", "b"] * 100
    with pytest.raises(ShapeError, match=f"toy has 150 texts, but there are {n_labels} labels"):
        score(problem()[0], labels[:n_labels], criterion)


@LABELLED_ONES
def test_labels_of_two_dimensions_are_refused(criterion):
    layers, labels = problem()
    with pytest.raises(DataError, match="one column of labels"):
        score(layers, labels[:, None], criterion)


@pytest.mark.parametrize("criterion", sorted({*READS_FEATURES} - {*LABELLED} - {"curvature"}))
@pytest.mark.parametrize("n_texts", [0, 2])
def test_too_few_texts_are_refused(criterion, n_texts):
    with pytest.raises(ShapeError, match=f"at least 3 texts, got {n_texts} of toy"):
        score([np.ones((n_texts, 2), dtype=np.float32)] * 3, None, criterion)


@pytest.mark.parametrize("criterion", NEEDS_SIGNALS)
def test_missing_signals_say_what_to_pass(criterion):
    layers, labels = problem()
    name = CRITERIA[criterion].signals[0]
    given = [signals(name, backbone="other")]
    with pytest.raises(SignalError, match=rf"needs {name} of toy.*signals=\[.*got {name} of other"):
        score_layers(embed(*layers), labels, criterion, signals=given)
    with pytest.raises(SignalError, match="got none"):
        score_layers(embed(*layers), labels, criterion)


@pytest.mark.parametrize("criterion", NEEDS_SIGNALS)
def test_a_signal_that_stands_twice_is_refused(criterion):
    layers, labels = problem()
    with pytest.raises(SignalError, match="Pass one such LayerSignals"):
        score_layers(embed(*layers), labels, criterion, signals=[*BOTH, *BOTH])


@LABELLED_ONES
def test_the_kind_of_labels_does_not_matter(criterion):
    layers, classes = problem(n_classes=2)
    kinds = (
        classes * 10 - 3,
        [("no", "yes")[c] for c in classes],
        classes.astype(bool),
        classes.astype(bool).tolist(),
        np.array([("no", "yes")[c] for c in classes], dtype=object),
    )
    want = score(layers, classes, criterion)
    for labels in kinds:
        np.testing.assert_array_equal(score(layers, labels, criterion), want)


@LABELLED_ONES
def test_names_of_classes_that_sort_otherwise_do_not_matter(criterion):
    layers, classes = problem()
    renamed = np.array(["z", "a", "m"])[classes]
    np.testing.assert_allclose(
        score(layers, renamed, criterion), score(layers, classes, criterion), rtol=2e-3, atol=1e-5
    )


@EVERY
def test_standard_errors_are_those_of_one_number_per_text_or_none(criterion):
    layers, labels = problem()
    scores = score_layers(embed(*layers), labels, criterion, signals=BOTH)
    assert scores.criterion == criterion
    if scores.per_text is None:
        assert scores.standard_errors == ()
        return
    assert len(scores.per_text) in {150, 20}
    np.testing.assert_allclose(scores.values, scores.per_text.mean(0))
    errors = scores.per_text.std(0) / np.sqrt(len(scores.per_text))
    np.testing.assert_allclose(scores.standard_errors, errors)


@EVERY
def test_the_same_twice_and_nothing_written(criterion):
    layers, labels = problem()
    before = [features.copy() for features in layers], labels.copy()
    first, second = (score(layers, labels, criterion) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(layers, before[0])
    np.testing.assert_array_equal(labels, before[1])


class OneRowAtATime:
    """Layers that say which were read, as a store would read them."""

    backbone = "toy"

    def __init__(self, layers):
        self._block = embed(*layers)
        self.refs = self._block.refs
        self.n_texts = self._block.n_texts
        self.read = []

    def row(self, ref):
        self.read.append(ref)
        return self._block.row(ref)


@FEATURES_READ
def test_every_layer_is_read_once(criterion):
    layers, labels = problem()
    block = OneRowAtATime(layers)
    scores = score_layers(block, labels, criterion, signals=BOTH)
    assert sorted(block.read) == sorted(block.refs)
    np.testing.assert_array_equal(scores.values, score(layers, labels, criterion))


@pytest.mark.parametrize("name", ["loo-ridge", "Probe", ""])
@pytest.mark.unchecked
def test_an_unknown_name_lists_the_right_ones(name):
    layers, labels = problem()
    with pytest.raises(UnknownOptionError, match=", ".join(CRITERION_NAMES)):
        score(layers, labels, name)
