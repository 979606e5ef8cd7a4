"""Cross-validation: every text is tested on once, by what has not seen it."""

import numpy as np
import pytest

from layerfuse import FusionClassifier
from layerfuse.core.errors import DataError, LabelError, ShapeError
from layerfuse.report import compare
from layerfuse.report.folds import fold_splits, pooled_facts

pytestmark = pytest.mark.unchecked  # whole fits, whose parts are checked by tests of their own

TEXTS = [f"text {i}" for i in range(24)]
LABELS = ["a", "b", "c"] * 8


def test_every_text_is_tested_once_and_not_in_the_training_texts_of_its_fold():
    whole, splits = fold_splits(TEXTS, LABELS, 4)
    assert sorted(text for split in splits for text in split.test_texts) == sorted(TEXTS)
    label_of = dict(zip(TEXTS, LABELS, strict=True))
    for split in splits:
        assert sorted([*split.texts, *split.test_texts]) == sorted(TEXTS)
        assert split.labels == [label_of[text] for text in split.texts]
        assert split.test_labels == [label_of[text] for text in split.test_texts]
        assert np.unique(split.test_labels, return_counts=True)[1].tolist() == [2, 2, 2]
    assert (whole.texts, whole.labels) == (TEXTS, LABELS)
    assert whole.test_texts == [text for split in splits for text in split.test_texts]


def test_folds_depend_on_the_seed_alone():
    one, again, other = (fold_splits(TEXTS, LABELS, 3, random_state=seed)[1] for seed in (0, 0, 1))
    assert [s.test_texts for s in one] == [s.test_texts for s in again]
    assert [s.test_texts for s in one] != [s.test_texts for s in other]


def test_groups_stay_in_one_fold():
    groups = [f"author {i // 4}" for i in range(24)]
    group_of = dict(zip(TEXTS, groups, strict=True))
    for split in fold_splits(TEXTS, LABELS, 3, groups=groups)[1]:
        trained, tested = ({group_of[t] for t in side} for side in (split.texts, split.test_texts))
        assert not trained & tested


def facts_of(texts, labels, n_folds, **options):
    return pooled_facts(*fold_splits(texts, labels, n_folds, **options), "texts")


def test_a_test_text_with_a_duplicate_outside_its_fold_is_leaked():
    facts = facts_of([*TEXTS, "Text  0"], [*LABELS, "a"], 8)
    assert (facts.n_train, facts.n_test, facts.n_folds, facts.n_repeated) == (25, 25, 8, 1)
    assert facts_of(TEXTS, LABELS, 4).n_leaked == 0
    pair = ["x", "x", "y", "y", "z", "z", "v", "v"]
    groups = [0, 1, 2, 3, 0, 1, 2, 3]
    assert facts_of(pair, [0, 0, 0, 0, 1, 1, 1, 1], 4, groups=groups).n_leaked == 8


@pytest.mark.parametrize(
    ("labels", "options", "error", "message"),
    [
        (LABELS, {"n_folds": 1}, ShapeError, "at least 2 folds"),
        (LABELS, {"n_folds": 9}, DataError, "Use fewer folds"),
        (
            ["a", *["b"] * 12, *["c"] * 11],
            {"n_folds": 2},
            DataError,
            "contains all 1 texts of class 'a'",
        ),
        (LABELS, {"n_folds": 2, "groups": ["x", None] * 12}, LabelError, "groups: the group"),
        (LABELS, {"n_folds": 2, "groups": [1]}, ShapeError, "one group per text, got 1 for 24"),
        (LABELS, {"n_folds": 3, "groups": [0, 1] * 12}, DataError, "fewer folds"),
        (LABELS, {"n_folds": 2, "groups": [0.5, 1.0] * 12}, LabelError, "expected groups that are"),
        (["a", "a", *["b"] * 22], {"n_folds": 2}, DataError, "outside fold 1 there are fewer"),
    ],
)
def test_impossible_folds_are_refused(labels, options, error, message):
    with pytest.raises(error, match=message):
        fold_splits(TEXTS, labels, **options)


def test_groups_may_be_integers_stored_as_floats():
    """As in a table in which another group is missing."""
    numbers = np.arange(24) // 3
    whole, floats = (fold_splits(TEXTS, LABELS, 3, groups=g)[1] for g in (numbers, numbers * 1.0))
    assert [one.test_texts for one in floats] == [one.test_texts for one in whole]


@pytest.fixture
def noisy(toy):
    texts, labels = toy(30, seed=3)
    for i in range(0, 30, 5):
        labels[i] = labels[i - 1]
    return texts, labels


def test_the_result_equals_that_of_classifiers_fitted_without_each_fold(make, noisy):
    texts, labels = noisy
    report = compare(make(head="ridge"), texts, labels, folds=3, seeds=[5], costs=False)
    right = 0
    for split in fold_splits(texts, labels, 3)[1]:
        fitted = make(head="ridge").fit(split.texts, split.labels)
        right += int((fitted.predict(split.test_texts) == np.array(split.test_labels)).sum())
    assert report.result.accuracy == pytest.approx(right / 30)
    assert report.seeds.accuracy[0] == report.result.accuracy
    assert len(report.seeds.accuracy) == 2
    assert np.sum(report.confusion) == 30
    assert len(report.mistakes) == min(20, 30 - right)
    shown = [mistake.probability for mistake in report.mistakes]
    assert shown == sorted(shown, reverse=True)
    assert "in 3-fold\ncross-validation" in str(report)


@pytest.mark.parametrize("head", ["ridge", "logistic"])
def test_the_classifier_is_fitted_on_all_texts_in_the_end(make, noisy, head):
    """In their original order, on which the folds of the heads depend."""
    texts, labels = noisy
    classifier, alone = make(head=head), make(head=head).fit(texts, labels)
    compare(classifier, texts, labels, folds=2, costs=False)
    np.testing.assert_allclose(
        classifier.predict_proba(texts), alone.predict_proba(texts), atol=1e-5
    )


def test_a_cross_validated_report_has_all_parts(make, noisy, tiny_encoder, tiny_decoder):
    texts, labels = noisy
    classifier = make(
        backbones=[tiny_encoder, tiny_decoder], fusion="static_gate", selector="upper_half",
        head="ridge", class_weight="balanced",
    )  # fmt: skip
    report = compare(classifier, texts, labels, folds=2, fusions=["concat"], curve=[3], n_draws=2)
    assert "chosen layers, concat" in [row.name for row in report.baselines]
    (pair,) = report.pairs
    best = {row.name: row.accuracy for row in report.baselines if row.kind == "best layer"}
    assert max(best["encoder, best layer"], best["decoder, best layer"]) <= pair.oracle
    assert len(report.gates) == 4  # two backbones under two poolings
    assert [one.name for one in report.overhead.layer_marginals] == list(report.selection)
    assert {choice.backbones for choice in report.overhead.choices} >= {("encoder",), ("decoder",)}
    assert [point.n_texts for point in report.curve] == [6] * 3 + [15] * 3


@pytest.mark.parametrize(
    ("tests", "options", "message"),
    [
        ((["x"], None), {}, "with their labels"),
        ((TEXTS, LABELS), {"groups": LABELS}, "with test texts, leave them out"),
    ],
)
def test_contradictory_test_data_are_refused(tests, options, message):
    with pytest.raises(DataError, match=message):
        compare(FusionClassifier(["nowhere"]), TEXTS, LABELS, *tests, **options)
