"""fit_head: near the Bayes rule where it is known, at chance where there is nothing to learn."""

import re

import numpy as np
import pytest
import scipy.optimize
from scipy.stats import norm
from sklearn.linear_model import Ridge

from layerfuse.core.errors import FeatureError, LabelError, ShapeError, UnknownOptionError
from layerfuse.core.supervision import Supervision
from layerfuse.train import LinearHead, class_weights, fit_head

HEAD = pytest.mark.parametrize("head", ["ridge", "logistic", "blend"])


def blobs(n_texts, n_classes=2, width=20, shift=1.5, shares=None, seed=0):
    """Return unit Gaussians around one centre per axis; rows have mean squared norm near 1."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(n_classes, size=n_texts, p=shares)
    labels[:n_classes] = range(n_classes)
    features = rng.normal(size=(n_texts, width))
    features[np.arange(n_texts), labels] += shift
    return (features / np.sqrt(width)).astype(np.float32), labels


def fit(features, labels, head="auto", weights=None, groups=None):
    """Fit a head on labels, and on weights and groups if given."""
    return fit_head(features, Supervision.of(labels, weights=weights, groups=groups), head=head)


def accuracy(head, features, labels):
    return float((head.decisions(features).argmax(1) == labels).mean())


@HEAD
def test_two_classes_come_near_bayes(head):
    fitted, _ = fit(*blobs(1000), head=head)
    bayes = norm.cdf(1.5 / np.sqrt(2))  # the centres are 1.5 sqrt(2) apart
    assert accuracy(fitted, *blobs(4000, seed=1)) == pytest.approx(bayes, abs=0.025)


@HEAD
def test_five_classes_come_near_bayes(head):
    fitted, _ = fit(*blobs(2000, 5, shift=2.5), head=head)
    features, labels = blobs(4000, 5, shift=2.5, seed=1)
    bayes = (features[:, :5].argmax(1) == labels).mean()
    assert accuracy(fitted, features, labels) == pytest.approx(bayes, abs=0.025)


@HEAD
@pytest.mark.parametrize("n_classes", [2, 5])
def test_held_out_quality_foretells_that_of_new_texts(head, n_classes):
    log_loss_gaps, accuracy_gaps = [], []
    for seed in range(5):
        train = blobs(600, n_classes, shift=2, seed=seed)
        features, labels = blobs(4000, n_classes, shift=2, seed=seed + 100)
        fitted, (*_, candidate) = fit(*train, head=head)
        assert candidate.kind == fitted.kind == head
        chances = fitted.probabilities(features)[np.arange(4000), labels]
        log_loss_gaps.append(candidate.log_loss + np.log(chances).mean())
        accuracy_gaps.append(candidate.accuracy - accuracy(fitted, features, labels))
    assert np.mean(log_loss_gaps) == pytest.approx(0, abs=0.04)
    assert np.mean(accuracy_gaps) == pytest.approx(0, abs=0.02)


@HEAD
@pytest.mark.parametrize("n_classes", [2, 5])
def test_probabilities_are_calibrated(head, n_classes):
    fitted, _ = fit(*blobs(1500, n_classes, shift=2), head=head)
    features, labels = blobs(4000, n_classes, shift=2, seed=1)
    chances = fitted.probabilities(features)
    np.testing.assert_allclose(chances.sum(1), 1)
    assert chances.min() >= 0
    right = chances.argmax(1) == labels
    sure = chances.max(1)
    assert sure.mean() == pytest.approx(right.mean(), abs=0.04)
    order = np.argsort(sure)
    by_third = [right[part].mean() for part in np.array_split(order, 3)]
    assert by_third == sorted(by_third)
    assert by_third[2] > by_third[0] + 0.1


@HEAD
@pytest.mark.parametrize(("n_texts", "width"), [(400, 20), (200, 600)])
def test_nothing_leaks_into_held_out_quality(head, n_texts, width):
    features, labels = blobs(n_texts, width=width, shift=4)
    shuffled = np.random.default_rng(1).permutation(labels)
    _, (*_, candidate) = fit(features, shuffled, head=head)
    assert candidate.accuracy < 0.6
    assert candidate.log_loss > np.log(2) - 0.01


def in_a_row(n_texts=600, seed=0):
    """Three classes along a line: least squares cannot see the one in the middle."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_texts) % 3)
    features = rng.normal(size=(n_texts, 2))
    features[:, 0] += 5 * labels
    return features.astype(np.float32), labels


def half_in_a_row():
    """On one half ridge is better; on the other, in other dimensions, logistic regression."""
    (wide, first), (line, second) = blobs(400, 3, width=300, shift=4), in_a_row(400)
    features = np.zeros((800, 302), dtype=np.float32)
    features[:400, :300], features[400:, 300:] = wide, line / line.std()
    return features, np.concatenate([first, second])


@pytest.mark.parametrize(
    ("problem", "kind"), [(blobs(300, shift=2), "ridge"), (in_a_row(), "logistic")]
)
def test_auto_keeps_the_lower_held_out_log_loss(problem, kind):
    features, labels = problem
    fitted, candidates = fit(features, labels)
    assert [candidate.kind for candidate in candidates] == ["ridge", "logistic", "blend"]
    assert fitted.kind == kind == min(candidates[:2], key=lambda one: one.log_loss).kind
    alone, (candidate,) = fit(features, labels, head=kind)
    assert candidate in candidates
    np.testing.assert_array_equal(alone.coefficients, fitted.coefficients)


def test_auto_keeps_a_blend_that_is_surely_better():
    """Ridge is better on half of the texts, logistic regression on the others."""
    fitted, candidates = fit(*half_in_a_row())
    by_kind = {candidate.kind: candidate for candidate in candidates}
    assert fitted.kind == "blend"
    for kind in ("ridge", "logistic"):
        assert by_kind["blend"].log_loss < by_kind[kind].log_loss


def test_a_blend_is_the_pool_of_its_heads():
    features, labels = blobs(200, 3, width=8)
    blend, candidates = fit(features, labels, head="blend")
    members = [fit(features, labels, head=kind) for kind in ("ridge", "logistic")]
    assert candidates[:2] == tuple(candidate for _, (candidate,) in members)

    def pooled(logs, exponents):
        product = np.exp(sum(e * log for e, log in zip(exponents, logs, strict=True)))
        return np.log(product / product.sum(1, keepdims=True))

    def held_out_loss(exponents):
        held_out = pooled([candidate.held_out for _, (candidate,) in members], exponents)
        return -held_out[np.arange(200), labels].mean()

    found = scipy.optimize.minimize(held_out_loss, [0.5, 0.5], bounds=[(0, None)] * 2)
    direction = found.x

    def loss_with_one_more_text(size):
        """Return the loss with one added text that has equal shares of all classes."""
        held_out = pooled([c.held_out for _, (c,) in members], size * direction)
        own = held_out[np.arange(200), labels]
        return -(200 * own + held_out.mean(1)).mean() / 201

    sure = scipy.optimize.minimize_scalar(
        loss_with_one_more_text, bounds=(0.1, 10), method="bounded"
    )
    assert candidates[2].log_loss == pytest.approx(held_out_loss(sure.x * direction), abs=1e-5)
    want = pooled([head.log_probabilities(features) for head, _ in members], sure.x * direction)
    np.testing.assert_allclose(blend.log_probabilities(features), want, atol=2e-2)
    assert isinstance(blend, LinearHead)
    again = LinearHead.from_arrays("blend", blend.arrays())
    np.testing.assert_array_equal(again.decisions(features), blend.decisions(features))


def test_a_blend_of_heads_on_shuffled_labels_is_not_confident():
    """Held-out log loss is at chance at best; exponents must still not be 0."""
    features, labels = blobs(60, width=20)
    shuffled = np.random.default_rng(1).permutation(labels)
    blend, candidates = fit(features, shuffled, head="blend")
    assert np.isfinite(blend.probabilities(features)).all()
    assert blend.coefficients.any()
    assert candidates[2].log_loss < 1.0


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_texts", [100, 15])
def test_ridge_is_that_of_scikit_learn_on_the_features_themselves(weighted, n_texts):
    features, labels = blobs(n_texts, 3, width=20, shift=3)
    features = features * 7 + 3
    weights = np.random.default_rng(0).uniform(0.5, 2, n_texts) if weighted else np.ones(n_texts)
    weights *= n_texts / weights.sum()
    head, (candidate,) = fit(features, labels, head="ridge", weights=weights)
    theirs = Ridge(alpha=candidate.penalty)
    theirs.fit(features.astype(float), np.eye(3)[labels], sample_weight=weights)
    np.testing.assert_allclose(head.coefficients, theirs.coef_.T, atol=1e-4)
    np.testing.assert_allclose(head.decisions(features), theirs.predict(features), atol=1e-3)


@HEAD
def test_groups_are_held_out_together(head):
    """Five copies of each text under shuffled labels: without groups, copies give labels away."""
    features, labels = blobs(100, width=200)
    shuffled = np.random.default_rng(1).permutation(labels)
    copied, own = np.repeat(features, 5, axis=0), np.repeat(shuffled, 5)
    _, (*_, known) = fit(copied, own, head=head)
    _, (*_, unseen) = fit(copied, own, head=head, groups=np.repeat(np.arange(100), 5))
    assert known.accuracy > 0.95
    assert unseen.accuracy < 0.65
    assert unseen.log_loss > 0.65


def test_ridge_predicts_copies_held_out_together_as_the_texts_alone():
    features, labels = blobs(80, 3, width=12, shift=2)
    alone, (candidate,) = fit(features, labels, head="ridge")
    twice, again = np.tile(features, (2, 1)), np.tile(labels, 2)
    head, (both,) = fit(twice, again, head="ridge", groups=np.tile(np.arange(80), 2))
    said, said_again = (c.held_out - c.held_out.mean(1, keepdims=True) for c in (candidate, both))
    np.testing.assert_allclose(said_again, np.tile(said, (2, 1)), atol=1e-3)
    assert both.penalty == pytest.approx(2 * candidate.penalty, rel=1e-4)
    np.testing.assert_allclose(head.coefficients, alone.coefficients, atol=1e-4)


@HEAD
def test_more_features_than_texts(head):
    fitted, _ = fit(*blobs(60, width=500, shift=20), head=head)
    assert fitted.coefficients.shape == (500, 2)
    assert accuracy(fitted, *blobs(500, width=500, shift=20, seed=1)) > 0.95


@HEAD
def test_shift_and_scale_of_all_features_do_not_matter(head):
    features, labels = blobs(200, 3, shift=3)
    fitted, _ = fit(features, labels, head=head)
    moved, _ = fit(features * 64 + 3, labels, head=head)
    np.testing.assert_allclose(
        moved.probabilities(features * 64 + 3), fitted.probabilities(features), atol=0.01
    )


@HEAD
def test_balanced_weights_lift_the_recall_of_a_rare_class(head):
    features, labels = blobs(1000, shares=[0.93, 0.07])
    test, truth = blobs(4000, shares=[0.93, 0.07], seed=1)
    recalls = []
    for weights in (None, class_weights(labels, "balanced")):
        fitted, _ = fit(features, labels, head=head, weights=weights)
        recalls.append((fitted.decisions(test).argmax(1) == truth)[truth == 1].mean())
    assert recalls[0] < 0.4
    assert recalls[1] > 0.7


@HEAD
def test_scale_of_the_weights_does_not_matter_to_ridge_nor_ones_to_any(head):
    features, labels = blobs(200, 3, shift=3)
    plain, _ = fit(features, labels, head=head)
    ones, _ = fit(features, labels, head=head, weights=np.ones(200))
    np.testing.assert_array_equal(ones.coefficients, plain.coefficients)
    if head == "ridge":
        tens, _ = fit(features, labels, head=head, weights=np.full(200, 10.0))
        np.testing.assert_allclose(tens.coefficients, plain.coefficients, atol=1e-6)


def test_class_weights():
    labels = np.array([0, 0, 0, 1])
    np.testing.assert_array_equal(class_weights(labels, None), [1, 1, 1, 1])
    np.testing.assert_allclose(class_weights(labels, "balanced"), [2 / 3, 2 / 3, 2 / 3, 2])
    np.testing.assert_allclose(class_weights(labels, {1: 5.0}), [0.5, 0.5, 0.5, 2.5])


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
@pytest.mark.unchecked
def test_class_weights_that_are_not_positive_are_refused(weight):
    with pytest.raises(LabelError, match="positive, finite class weights"):
        class_weights(np.array([0, 1]), {1: weight})


@HEAD
@pytest.mark.parametrize(
    ("n_classes", "per_class"), [(2, (2, 30)), (2, (2, 2)), (10, (2,) * 10), (3, (2, 40, 40))]
)
def test_rare_classes_can_be_learnt(head, n_classes, per_class):
    labels = np.repeat(np.arange(n_classes), per_class)
    features = np.random.default_rng(0).normal(size=(len(labels), 12)) * 0.1
    features[np.arange(len(labels)), labels] += 3
    features = features.astype(np.float32)
    fitted, (*_, candidate) = fit(features, labels, head=head)
    assert accuracy(fitted, features, labels) == 1
    assert np.isfinite(candidate.log_loss)
    assert candidate.accuracy > 0.9


@pytest.mark.parametrize("head", ["ridge", "logistic", "mlp"])
def test_the_only_text_of_a_class_is_learned_but_not_in_the_held_out_loss(head):
    """No fit without it knows its class, so its held-out prediction must be wrong."""
    features, labels = blobs(300, 3, shift=4)
    _, (without,) = fit(features, labels, head=head)
    one = np.zeros((1, features.shape[1]), dtype=np.float32)
    one[0, -1] = 4
    fitted, (beside,) = fit(np.concatenate([features, one]), np.append(labels, 3), head=head)
    assert beside.log_loss == pytest.approx(without.log_loss, abs=0.02)
    assert beside.held_out.argmax(1)[-1] != 3
    assert fitted.decisions(one).shape == (1, 4)
    if head == "logistic":
        assert fitted.decisions(one).argmax() == 3


@pytest.mark.parametrize("head", ["auto", "ridge", "logistic"])
@pytest.mark.parametrize(
    ("labels", "counts"), [([0] * 20, [20]), ([0] * 19 + [1], [19, 1]), ([0, 2] * 10, [10, 0, 10])]
)
def test_labels_without_two_classes_of_two_texts_are_refused(head, labels, counts):
    with pytest.raises(LabelError, match=f"two texts, got counts {re.escape(str(counts))}"):
        fit(blobs(20)[0], np.array(labels), head=head)


@pytest.mark.parametrize("head", ["auto", "ridge", "logistic"])
@pytest.mark.parametrize("constant", [0.0, 0.1, 7.3])
def test_constant_features_are_refused(head, constant):
    features = np.full((30, 5), constant, dtype=np.float32)
    with pytest.raises(FeatureError, match="nothing to learn from"):
        fit(features, np.arange(30) % 2, head=head)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(bad):
    features, labels = blobs(30)
    features[3, 4] = bad
    with pytest.raises(FeatureError, match="NaN or infinity"):
        fit(features, labels)


@pytest.mark.unchecked
def test_another_number_of_labels_is_refused():
    features, labels = blobs(30)
    with pytest.raises(ShapeError, match="30 vectors, but 29 labels"):
        fit(features, labels[:-1])


@pytest.mark.unchecked
def test_unknown_head_names_the_right_one():
    with pytest.raises(UnknownOptionError, match="Did you mean 'logistic'"):
        fit(*blobs(30), head="logistics")


@HEAD
def test_the_same_twice_and_nothing_written(head):
    features, labels = blobs(150, 3)
    before = features.copy()
    (one, told), (two, told_again) = (fit(features, labels, head=head) for _ in range(2))
    assert told == told_again
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(two.arrays()[name], array)
    np.testing.assert_array_equal(features, before)


@HEAD
def test_arrays_are_the_whole_state(head):
    features, labels = blobs(150, 3)
    fitted, _ = fit(features, labels, head=head)
    again = LinearHead.from_arrays(fitted.kind, fitted.arrays())
    assert fitted.coefficients.dtype == fitted.intercept.dtype == np.float32
    np.testing.assert_array_equal(again.probabilities(features), fitted.probabilities(features))
