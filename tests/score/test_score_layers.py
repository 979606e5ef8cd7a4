"""score_layers: several backbones, the caller's functions, and a criterion that uses no text."""

import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from layerfuse.classifier import choose_layers
from layerfuse.core.errors import (
    FeatureError,
    LabelError,
    SelectionError,
    ShapeError,
    UnknownOptionError,
)
from layerfuse.core.layers import LayerEmbeddings, LayerRef
from layerfuse.core.scores import LayerScores
from layerfuse.score import score_layers
from layerfuse.score.depth import depth
from layerfuse.score.loo_ridge import loo_ridge
from layerfuse.score.probe import probe
from layerfuse.select import select_layers, selection_stability

LABELS = ["a", "b"] * 20


def embed(backbone="toy", n_layers=2, n_texts=40, width=3, pooling="mean", seed=0):
    values = np.random.default_rng(seed).normal(size=(n_layers, n_texts, width))
    refs = tuple(LayerRef(backbone, i, pooling) for i in range(n_layers))
    return LayerEmbeddings(values.astype(np.float32), refs)


def test_backbones_stay_in_the_order_given():
    one, two = embed("one", width=3), embed("two", width=5, n_layers=3)
    scores = score_layers([two, one], LABELS)
    assert scores.refs == two.refs + one.refs
    alone = score_layers(one, LABELS)
    assert [scores[ref] for ref in one.refs] == [alone[ref] for ref in one.refs]


def test_a_backbone_with_other_texts_is_refused_by_name():
    with pytest.raises(ShapeError, match="two has 39 texts, but there are 40 labels"):
        score_layers([embed("one"), embed("two", n_texts=39)], LABELS)


def test_the_same_backbone_twice_is_refused():
    with pytest.raises(ShapeError, match="each layer once"):
        score_layers([embed("one"), embed("one")], LABELS)


def test_no_texts_are_refused():
    with pytest.raises(LabelError, match="expected labels, got none"):
        score_layers(embed(n_texts=0), [])
    with pytest.raises(ShapeError, match="of at least one backbone"):
        score_layers([], LABELS)


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, " "])
def test_a_missing_label_is_refused(missing):
    with pytest.raises(LabelError, match=r"missing in 1 of 40|got str .* NAType"):
        score_layers(embed(), [*LABELS[:-1], missing])


def test_a_wrong_number_of_texts_is_refused_also_by_label_free_criteria():
    with pytest.raises(ShapeError, match="two has 39 texts, but one 40"):
        score_layers([embed("one"), embed("two", n_texts=39)], None, "rankme")
    with pytest.raises(ShapeError, match="toy has 40 texts, but there are 2 labels"):
        score_layers(embed(), ["a", "b"], "fisher")


def test_a_pandas_index_of_labels_is_ignored():
    labels = pd.Series(LABELS, index=range(100, 140))
    assert score_layers(embed(), labels) == score_layers(embed(), LABELS)


@pytest.mark.parametrize("criterion", ["loo_ridge", "knn", "rankme", "probe"])
def test_layers_scored_in_parallel_equal_those_scored_alone(criterion):
    block = embed(n_layers=7, width=30)
    with threadpool_limits(1, user_api="blas"):
        alone = score_layers(block, LABELS, criterion)
    with threadpool_limits(3, user_api="blas"):
        beside = score_layers(block, LABELS, criterion)
    assert beside.refs == alone.refs
    np.testing.assert_allclose(beside.values, alone.values, rtol=1e-5)


@pytest.mark.parametrize("criterion", ["loo_ridge", "twonn", "anisotropy"])
def test_layers_in_half_precision_are_scored_in_single_precision(criterion):
    """Sums of their squares exceed 65,504, the largest number in half precision."""
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(2, 300, 64)) * 15 + 50).astype(np.float16)
    values[1, ::2, :5] += 30
    refs = (LayerRef("toy", 0, "mean"), LayerRef("toy", 1, "mean"))

    def scores(dtype):
        rows = dict(zip(refs, values.astype(dtype), strict=True))
        block = SimpleNamespace(backbone="toy", refs=refs, n_texts=300, row=rows.get)
        found = score_layers(block, ["a", "b"] * 150, criterion)
        return [found[ref] for ref in refs]

    assert scores(np.float16) == scores(np.float32)


def test_layers_are_read_and_user_functions_called_by_one_thread():
    """A store is not thread-safe, and a user's function may not be."""
    readers, callers = set(), set()

    class Rows:
        block = embed(n_layers=5)
        backbone, refs, n_texts = block.backbone, block.refs, block.n_texts

        def row(self, ref):
            readers.add(threading.get_ident())
            return self.block.row(ref)

    def spread(features, labels):
        callers.add(threading.get_ident())
        return features.std()

    with threadpool_limits(2, user_api="blas"):
        score_layers(Rows(), LABELS)
        score_layers(Rows(), LABELS, spread)
    assert readers == callers == {threading.get_ident()}


def test_a_user_function_gets_features_and_class_indices():
    seen = []

    def spread(features, labels):
        seen.append((features, labels))
        return float(features.std())

    block = embed()
    scores = score_layers(block, LABELS, spread)
    assert scores.criterion == "spread"
    rows = [block.row(ref) for ref in block.refs]
    assert [scores[ref] for ref in block.refs] == [float(row.std()) for row in rows]
    assert scores.standard_errors == ()
    np.testing.assert_array_equal(seen[1][0], rows[1])
    np.testing.assert_array_equal(seen[1][1], [0, 1] * 20)


def test_a_callable_object_is_named_after_its_type():
    class Spread:
        def __call__(self, features, labels):
            return 1.0

    assert score_layers(embed(), LABELS, Spread()).criterion == "Spread"


def test_a_user_function_that_is_not_finite_is_refused_with_the_layers():
    with pytest.raises(FeatureError, match="toy:0:mean, toy:1:mean"):
        score_layers(embed(), LABELS, lambda _features, _labels: float("nan"))


@pytest.mark.parametrize(
    ("value", "came"),
    [
        (None, "NoneType"),
        (np.ones(3), r"ndarray of shape \(3,\)"),
        ([1.0], "list"),
        ("high", "str"),
    ],
)
def test_a_user_function_that_returns_no_number_is_refused(value, came):
    def per_text(features, labels):
        return value

    with pytest.raises(
        FeatureError, match=f"criterion='per_text' returned {came}, expected one num"
    ):
        score_layers(embed(), LABELS, per_text)


def test_errors_of_a_user_function_are_passed_on():
    with pytest.raises(TypeError, match="unsupported"):
        score_layers(embed(), LABELS, lambda features, _labels: features + None)


def test_a_user_function_needs_two_classes():
    with pytest.raises(LabelError, match="at least two classes"):
        score_layers(embed(), ["a"] * 40, lambda _features, _labels: 1.0)


@pytest.mark.parametrize("labels", [None, LABELS, ["a"] * 3])
def test_depth_needs_no_labels(labels):
    scores = score_layers([embed("one", 5), embed("two", 3)], labels, "depth")
    assert [scores[ref] for ref in scores.refs] == [0, 0.5, 1, 0.5, 0, 0, 1, 0]
    assert scores.best == LayerRef("one", 2, "mean")


def test_depth_is_symmetric_for_an_odd_number_of_blocks():
    values = [depth(LayerRef("toy", layer, "mean"), 5) for layer in range(6)]
    assert values == pytest.approx([0, 0.4, 0.8, 0.8, 0.4, 0])


def test_depth_without_blocks_is_one():
    assert depth(LayerRef("toy", 0, "mean"), 0) == 1


def test_probe_equals_the_pipeline_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1, 2], [60, 40, 20]))
    features = (rng.normal(size=(120, 10)) * 5 + labels[:, None] * 2).astype(np.float32)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    right = cross_val_predict(pipeline, features, labels, cv=folds) == labels
    assert 0.4 < right.mean() < 0.95
    np.testing.assert_array_equal(probe(features, labels), right)


def test_probe_takes_fewer_folds_where_a_class_is_rare():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [20, 2])
    features = rng.normal(size=(22, 3)) + 10 * labels[:, None]
    assert probe(features, labels)[:20].all()


def test_probe_refuses_labels_without_two_classes_of_two_texts():
    with pytest.raises(LabelError, match=r"two texts or more, got counts \[3, 1\]"):
        probe(np.zeros((4, 2)), np.array([0, 0, 0, 1]))


def test_loo_ridge_equals_the_log_loss_of_refits():
    """Refits without each text, under the best penalty of the grid, give the same log loss."""
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 3
    features = rng.normal(size=(30, 4)) + np.eye(3, 4)[labels] * 2
    standard = (features - features.mean(0)) / features.std(0)
    centred, targets = standard, np.eye(3)[labels]
    mean_eigenvalue = np.linalg.eigvalsh(centred.T @ centred).mean()
    refits = []
    for penalty in np.logspace(-3, 3, 13) * mean_eigenvalue:
        held_out = np.empty((30, 3))
        for i in range(30):
            rest = np.arange(30) != i
            mean, target_mean = standard[rest].mean(0), targets[rest].mean(0)
            inner = standard[rest] - mean
            gram = inner.T @ inner + penalty * np.eye(4)
            slope = np.linalg.solve(gram, inner.T @ (targets[rest] - target_mean))
            held_out[i] = target_mean + (standard[i] - mean) @ slope
        refits.append(held_out)
    best = min(refits, key=lambda held_out: np.square(targets - held_out).sum())
    by_temperature = [log_softmax(factor * best, axis=1) for factor in np.geomspace(1, 30, 50_000)]
    smooth = np.eye(3)[labels] * 30 / 31 + 1 / 93  # one added text of no class
    likeliest = max(by_temperature, key=lambda tempered: (smooth * tempered).sum())
    expected = likeliest[np.arange(30), labels]
    np.testing.assert_allclose(loo_ridge(features, labels), expected, atol=1e-4)


@pytest.mark.parametrize("criterion", ["mdl", "probe", "gradient", "loo_ridge"])
def test_folds_and_samples_depend_on_random_state(criterion, monkeypatch):
    monkeypatch.setattr("layerfuse.score.gradient.MAX_TEXTS", 60)
    monkeypatch.setattr("layerfuse.score.loo_ridge.MAX_JUDGED", 60)
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    block = LayerEmbeddings(
        (rng.normal(size=(2, 120, 5)) + labels[:, None]).astype(np.float32),
        tuple(LayerRef("toy", i, "mean") for i in range(2)),
    )
    drawn = [score_layers(block, labels, criterion, random_state=seed) for seed in (0, 0, 1)]
    first, again, other = (tuple(scores[ref] for ref in block.refs) for scores in drawn)
    assert first == again != other


@pytest.mark.unchecked
@pytest.mark.parametrize("wrong", ["array", "list of arrays", "texts", "dict", "none", "path"])
def test_what_are_no_embeddings_is_refused_with_what_to_pass(wrong):
    given = {
        "array": np.zeros((2, 4, 3), np.float32),
        "list of arrays": [np.zeros((4, 3), np.float32)],
        "texts": ["a", "b", "a", "b"],
        "dict": {"m": np.zeros((4, 3), np.float32)},
        "none": None,
        "path": Path("model"),
    }[wrong]
    for use in (score_layers, choose_layers):
        with pytest.raises(ShapeError, match=r"Expected LayerEmbeddings, or a list of them, got "):
            use(given, [0, 1, 0, 1])


class Logged:
    """A caller's wrapper, which passes everything on."""

    def __init__(self, wrapped):
        self.wrapped = wrapped

    def __getattr__(self, name):
        return getattr(self.wrapped, name)


class LoggedRows(Logged):
    def __iter__(self):
        return map(self.wrapped.row, self.wrapped.refs)


@pytest.mark.unchecked
@pytest.mark.parametrize("wrapper", [Logged, LoggedRows])
def test_rows_may_be_of_a_class_of_the_callers_own(wrapper):
    rng = np.random.default_rng(0)
    refs = tuple(LayerRef("m", layer, "mean") for layer in range(2))
    embeddings = LayerEmbeddings(rng.normal(size=(2, 20, 3)).astype(np.float32), refs)
    labels = ["a", "b"] * 10
    want = score_layers(embeddings, labels)
    assert score_layers(wrapper(embeddings), labels) == want
    assert score_layers([wrapper(embeddings)], labels) == want


@pytest.mark.unchecked
def test_embeddings_and_labels_may_come_from_generators():
    rng = np.random.default_rng(0)
    refs = tuple(LayerRef("m", layer, "mean") for layer in range(2))
    embeddings = LayerEmbeddings(rng.normal(size=(2, 20, 3)).astype(np.float32), refs)
    labels = ["a", "b"] * 10
    got = score_layers((one for one in [embeddings]), (label for label in labels))
    assert got == score_layers(embeddings, labels)
    options = {"selector": "greedy", "n_resamples": 3}
    want = choose_layers(embeddings, labels, **options)
    assert choose_layers(embeddings, iter(labels), **options) == want


@pytest.mark.unchecked
def test_selecting_from_what_are_no_scores_is_refused():
    embeddings = LayerEmbeddings(np.zeros((1, 3, 2), np.float32), (LayerRef("m", 0, "mean"),))
    for wrong in (embeddings, [1.0], None):
        with pytest.raises(ShapeError, match="the LayerScores that score_layers returns, got"):
            select_layers(wrong)
    scores = LayerScores("c", (LayerRef("m", 0, "mean"),), (1.0,))
    with pytest.raises(SelectionError, match=r"budget=Budget\(costs, \.\.\.\), got 5\.0"):
        select_layers(scores, "budget", budget=5.0)
    with pytest.raises(UnknownOptionError, match="n_resamples='3': expected an integer"):
        selection_stability(scores, n_resamples="3")
