"""The pooled head: the pool is optimal, joins where it helps, and stays away where it does not."""

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from layerfuse.core.errors import FeatureError, ShapeError
from layerfuse.core.supervision import Supervision
from layerfuse.train import PooledHead, fit_head, fit_words, join_words
from layerfuse.train.lexical import fit_lexical

N_TEXTS = 400


def fit_pooled_head(vectors, texts, labels, *, head="auto", lexical="auto", weights=None):
    known = Supervision.of(labels, weights=weights)
    words = fit_words(texts, known, lexical=lexical)
    return join_words(*fit_head(vectors, known, head=head), known, words)


def problem(*, in_words, in_vectors, width=6, seed=0):
    """Return vectors, texts and labels; arguments say how well words and vectors predict labels."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(N_TEXTS) % 2)
    vectors = rng.normal(size=(N_TEXTS, width)).astype(np.float32)
    vectors[:, 0] += in_vectors * labels
    told = np.where(rng.random(N_TEXTS) < in_words, labels, rng.integers(0, 2, N_TEXTS))
    common = rng.choice(["the", "of", "and"], (N_TEXTS, 2))
    texts = [f"{('good', 'bad')[t]} {' '.join(c)}" for t, c in zip(told, common, strict=True)]
    return vectors, texts, labels


def held_out_members(vectors, texts, labels, kind, weights):
    """Return held-out log probabilities of the head on vectors and of the one on words."""
    known = Supervision.of(labels, weights=weights)
    _, (on_vectors,) = fit_head(vectors, known, head=kind)
    on_words, _ = fit_lexical(texts, known)
    return on_vectors.held_out, on_words.held_out


def log_loss(log_probabilities, labels):
    return -log_probabilities[np.arange(len(labels)), labels].mean()


def test_words_join_where_they_know_what_the_vectors_do_not():
    vectors, texts, labels = problem(in_words=0.6, in_vectors=1.5)
    head, candidates = fit_pooled_head(vectors, texts, labels)
    by_kind = {candidate.kind: candidate for candidate in candidates}
    assert list(by_kind) == ["ridge", "logistic", "blend", "lexical", "pooled"]
    assert head.candidate == "pooled"
    assert by_kind["pooled"].log_loss < min(
        by_kind[kind].log_loss for kind in ("ridge", "logistic", "lexical")
    )
    # Over several draws, because losses differ more between draws than between heads.
    draws = [problem(in_words=0.6, in_vectors=1.5, seed=seed) for seed in range(1, 6)]
    vectors_of, texts_of, labels_of = zip(*draws, strict=True)
    every_text = [text for texts_of_one in texts_of for text in texts_of_one]
    new = np.concatenate(vectors_of), every_text, np.concatenate(labels_of)
    alone, _ = fit_head(vectors, Supervision.of(labels))
    pooled = np.log(head.probabilities(*new[:2]))
    assert log_loss(pooled, new[2]) < log_loss(alone.log_probabilities(new[0]), new[2]) - 0.05
    assert log_loss(pooled, new[2]) == pytest.approx(by_kind["pooled"].log_loss, abs=0.08)


@pytest.fixture(scope="module")
def words_that_know_nothing():
    """TF-IDF heads of eight draws; the labels of ``problem`` do not depend on the width."""
    draws = [problem(in_words=0, in_vectors=2.5, seed=seed) for seed in range(8)]
    return [fit_words(texts[:200], Supervision.of(labels[:200])) for _, texts, labels in draws]


@pytest.mark.parametrize("head", ["auto", "ridge", "logistic"])
@pytest.mark.parametrize("width", [6, 80])
def test_words_that_know_nothing_stay_away(head, width, words_that_know_nothing):
    """Also if the head is overconfident, as logistic regression is in many dimensions."""
    joined = []
    for seed, words in enumerate(words_that_know_nothing):
        vectors, _, labels = problem(in_words=0, in_vectors=2.5, width=width, seed=seed)
        known = Supervision.of(labels[:200])
        fitted, _ = join_words(*fit_head(vectors[:200], known, head=head), known, words)
        joined.append(fitted.lexical is not None)
    assert sum(joined) <= 2


def test_words_always_join_if_true_and_are_not_fitted_if_false():
    vectors, texts, labels = problem(in_words=0, in_vectors=2.5)
    always, _ = fit_pooled_head(vectors, texts, labels, lexical=True)
    never, candidates = fit_pooled_head(vectors, texts, labels, lexical=False)
    assert always.lexical is not None
    assert never.lexical is None
    assert [candidate.kind for candidate in candidates] == ["ridge", "logistic", "blend"]


def test_without_words_it_is_the_head_on_vectors():
    vectors, texts, labels = problem(in_words=0.5, in_vectors=1)
    head, _ = fit_pooled_head(vectors, texts, labels, lexical=False)
    alone, _ = fit_head(vectors, Supervision.of(labels))
    np.testing.assert_array_equal(head.decisions(vectors, texts), alone.decisions(vectors))
    np.testing.assert_array_equal(head.probabilities(vectors, texts), alone.probabilities(vectors))


def as_sure_as_one_more_text_lets_it_be(members, exponents, labels, weights):
    """Scale exponents to the most likely size with one added text of equal class shares."""
    pooled = sum(e * member for e, member in zip(exponents, members, strict=True))

    def loss(size):
        logs = log_softmax(size * pooled, axis=1)
        own = logs[np.arange(len(labels)), labels]
        return np.average(-(len(labels) * own + logs.mean(1)) / (len(labels) + 1), weights=weights)

    return minimize_scalar(loss, bounds=(0.1, 10), method="bounded").x * np.asarray(exponents)


@pytest.mark.parametrize("weighted", [False, True])
def test_pool_weights_are_the_best_non_negative_ones(weighted):
    vectors, texts, labels = problem(in_words=0.4, in_vectors=1)
    weights = np.random.default_rng(2).uniform(0.2, 3, N_TEXTS) if weighted else np.ones(N_TEXTS)
    head, _ = fit_pooled_head(vectors, texts, labels, lexical=True, weights=weights)
    members = held_out_members(vectors, texts, labels, head.kind, weights)

    def loss(exponents):
        pooled = log_softmax(exponents[0] * members[0] + exponents[1] * members[1], axis=1)
        return np.average(-pooled[np.arange(N_TEXTS), labels], weights=weights)

    plain = minimize(loss, [0.3, 0.3], method="Nelder-Mead", options={"xatol": 1e-6})
    assert plain.x.min() > 0
    want = as_sure_as_one_more_text_lets_it_be(members, plain.x, labels, weights)
    np.testing.assert_allclose(head.pool_weights, want, atol=1e-3)


def test_two_classes_pool_like_a_logistic_regression_without_intercept():
    vectors, texts, labels = problem(in_words=0.4, in_vectors=1)
    head, _ = fit_pooled_head(vectors, texts, labels, lexical=True)
    members = held_out_members(vectors, texts, labels, head.kind, np.ones(N_TEXTS))
    margins = [member[:, 1] - member[:, 0] for member in members]
    reference = LogisticRegression(C=1e8, fit_intercept=False, tol=1e-8)
    reference.fit(np.stack(margins, axis=1), labels)
    want = as_sure_as_one_more_text_lets_it_be(
        members, reference.coef_[0], labels, np.ones(N_TEXTS)
    )
    np.testing.assert_allclose(head.pool_weights, want, rtol=0.01)


@pytest.mark.parametrize("lexical", [True, False])
def test_arrays_are_the_whole_state(lexical):
    vectors, texts, labels = problem(in_words=0.6, in_vectors=1)
    head, _ = fit_pooled_head(vectors, texts, labels, lexical=lexical)
    again = PooledHead.from_arrays(head.kind, head.arrays())
    np.testing.assert_array_equal(
        again.probabilities(vectors, texts), head.probabilities(vectors, texts)
    )


def test_texts_without_a_common_word_leave_the_head_alone_unless_words_are_asked_for():
    vectors, _, labels = problem(in_words=0.6, in_vectors=1)
    texts = [f"w{i}" for i in range(N_TEXTS)]
    head, candidates = fit_pooled_head(vectors, texts, labels)
    assert head.lexical is None
    assert len(candidates) == 3
    with pytest.raises(FeatureError, match="lexical=True needs words"):
        fit_pooled_head(vectors, texts, labels, lexical=True)


def test_a_text_per_vector_is_expected():
    vectors, texts, labels = problem(in_words=0.6, in_vectors=1)
    head, _ = fit_pooled_head(vectors, texts, labels, lexical=True)
    with pytest.raises(ShapeError, match="got 400 vectors, but 1 texts"):
        head.decisions(vectors, texts[:1])
