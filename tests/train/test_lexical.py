"""The TF-IDF head against scikit-learn's pipeline, and on texts whose words give the class."""

import time

import numpy as np
import pytest
from scipy.special import log_expit, log_softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.svm import LinearSVC

from layerfuse.core.supervision import Supervision
from layerfuse.train import LexicalHead, lexical, repeat_groups, terms
from layerfuse.train.lexical import INVERSE_PENALTIES, fit_lexical
from layerfuse.train.terms import TermReader, Units

LOSSES = pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])

WORDS = {
    0: "apple pear plum fig quince",
    1: "bolt nail nut rivet screw",
    2: "cod eel carp trout perch",
}
COMMON = ["the", "of", "and", "with", "big", "small", "old", "new"]


def topical(n_texts=240, n_classes=3, noise=0.2, seed=0):
    """Return texts of common words and words of a topic, with some of other topics; and topics."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_texts) % n_classes)
    texts = []
    for label in labels:
        topic = rng.integers(n_classes) if rng.random() < noise else label
        words = [*rng.choice(WORDS[int(topic)].split(), 2), *rng.choice(COMMON, 4)]
        texts.append(" ".join(rng.permutation(words)))
    return texts, labels


def of_units(terms):
    """Return scikit-learn's own vectoriser of such terms, each kind of which has the same norm."""
    parts = []
    if terms.words:
        longest = max(len(word.split()) for word in terms.words)
        words = TfidfVectorizer(
            sublinear_tf=True, ngram_range=(1, longest), strip_accents="unicode", min_df=2
        )
        parts.append(("words", words))
    if terms.ngrams:
        ngrams = TfidfVectorizer(
            sublinear_tf=True, ngram_range=(1, 5), analyzer="char_wb", min_df=2, max_features=50_000
        )
        parts.append(("ngrams", ngrams))
    weights = {name: len(parts) ** -0.5 for name, _ in parts}
    return FeatureUnion(parts, transformer_weights=weights)


def of_scikit_learn(loss, penalty, n_classes):
    """Return its own classifier, each class against the rest, on solvers that fit to the end."""
    if loss == "logistic":
        model = LogisticRegression(C=penalty, solver="liblinear", dual=False, tol=1e-6)
    else:
        model = LinearSVC(C=penalty, dual=False, tol=1e-6)
    return model if n_classes == 2 else OneVsRestClassifier(model)


def as_probabilities(margins, temperature):
    """Return probabilities (text, class) of margins, which two classes have one of."""
    if margins.ndim == 1:
        margins = np.stack([-margins, margins], axis=1)
    return np.exp(log_softmax(temperature * log_expit(margins), axis=1))


@LOSSES
@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_are_those_of_scikit_learn(n_classes, loss):
    texts, labels = topical(n_classes=n_classes)
    others, _ = topical(50, n_classes, seed=1)
    candidate, head = fit_lexical(texts, Supervision.of(labels), losses=[loss])
    model = of_scikit_learn(loss, candidate.penalty, n_classes)
    pipeline = make_pipeline(of_units(head.terms), model).fit(texts, labels)
    assert head.temperature != 1
    expected = as_probabilities(pipeline.decision_function(others), head.temperature)
    assert candidate.penalty in INVERSE_PENALTIES[loss]
    np.testing.assert_allclose(np.exp(head.log_probabilities(others)), expected, atol=0.02)


def test_held_out_quality_foretells_that_of_new_texts():
    texts, labels = topical(600)
    others, truth = topical(2000, seed=1)
    candidate, head = fit_lexical(texts, Supervision.of(labels))
    log_probabilities = head.log_probabilities(others)
    accuracy = (log_probabilities.argmax(1) == truth).mean()
    log_loss = -log_probabilities[np.arange(len(truth)), truth].mean()
    assert candidate.kind == "lexical"
    assert candidate.accuracy == pytest.approx(accuracy, abs=0.04)
    assert candidate.log_loss == pytest.approx(log_loss, abs=0.12)
    np.testing.assert_allclose(np.exp(candidate.held_out).sum(1), 1)


@LOSSES
@pytest.mark.parametrize("n_classes", [2, 3])
def test_held_out_texts_bring_in_neither_labels_nor_words(n_classes, loss):
    """As scikit-learn's pipeline, which also chooses terms on the training folds alone."""
    texts, labels = topical(150, n_classes, noise=0.4)
    texts = [f"{text} r{i // 2}" for i, text in enumerate(texts)]  # words that occur in two texts
    candidate, head = fit_lexical(texts, Supervision.of(labels, 7), losses=[loss])
    pipeline = make_pipeline(
        of_units(head.terms), of_scikit_learn(loss, candidate.penalty, n_classes)
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=7)
    margins = cross_val_predict(pipeline, texts, labels, cv=folds, method="decision_function")
    expected = as_probabilities(margins, head.temperature)
    np.testing.assert_allclose(np.exp(candidate.held_out), expected, atol=0.03)


def test_either_loss_is_taken_whole():
    taken = set()
    for seed in range(4):
        texts, labels = topical(noise=0.6, seed=seed)
        known = Supervision.of(labels)
        each = [fit_lexical(texts, known, losses=[loss]) for loss in INVERSE_PENALTIES]
        candidate, head = fit_lexical(texts, known)
        both = [(one, other.temperature) for one, other in each]
        taken.add(both.index((candidate, head.temperature)))
    assert taken == {0, 1}


@LOSSES
def test_margins_are_as_sure_as_held_out_texts_let_them_be(loss):
    texts, labels = topical(noise=0.4)
    candidate, _ = fit_lexical(texts, Supervision.of(labels), losses=[loss])
    for factor in (0.9, 1.1):
        other = log_softmax(factor * candidate.held_out, axis=1)
        assert -other[np.arange(len(labels)), labels].mean() > candidate.log_loss


def test_near_duplicates_are_held_out_together():
    """Five copies of each text under labels that words do not predict: copies must not help."""
    texts, labels = topical(100, 2, noise=1)
    copied = [f"{text} r{i} s{i}" for i, text in enumerate(texts) for _ in range(5)]
    groups = repeat_groups(copied)
    candidate, _ = fit_lexical(copied, Supervision.of(np.repeat(labels, 5), groups=groups))
    assert candidate.accuracy < 0.65
    assert candidate.log_loss > 0.66


def test_nothing_leaks_into_held_out_quality():
    texts, labels = topical(400, 2, noise=0)
    shuffled = np.random.default_rng(1).permutation(labels)
    candidate, _ = fit_lexical(texts, Supervision.of(shuffled))
    assert candidate.accuracy < 0.6
    assert candidate.log_loss > np.log(2) - 0.01


def test_weights_lift_a_class():
    texts, labels = topical(300, 2, noise=0.8)
    plain, heavy = (
        fit_lexical(texts, Supervision.of(labels, weights=np.where(labels == 1, weight, 1.0)))[1]
        for weight in (1, 20)
    )
    others, _ = topical(200, 2, seed=1)
    shares = [(h.log_probabilities(others).argmax(1) == 1).mean() for h in (plain, heavy)]
    assert shares[1] > shares[0] + 0.2


def test_a_class_too_rare_for_every_fold_is_learnt():
    texts, labels = topical(100, 2, noise=0)
    candidate, head = fit_lexical(
        [*texts, "cod eel", "eel cod"], Supervision.of(np.append(labels, [2, 2]))
    )
    assert np.isfinite(candidate.log_loss)
    assert head.log_probabilities(["cod eel"]).argmax(1).tolist() == [2]


@LOSSES
def test_classes_of_one_text_do_not_lower_the_temperature(loss):
    """Three classes with texts to hold out, and three of one text that no fold can know."""
    texts, labels = topical(120, noise=0)
    lone = [f"lone{i} word{i}" for i in range(3)]
    _, few = fit_lexical(texts, Supervision.of(labels), losses=[loss])
    _, many = fit_lexical(texts + lone, Supervision.of(np.append(labels, [3, 4, 5])), losses=[loss])
    assert many.temperature > few.temperature


@pytest.mark.parametrize("units", [Units(1), Units(2), Units(0, True), Units(2, True)])
def test_arrays_are_the_whole_state(units):
    texts = [f"{text} Ünï çødé 日本" for text in topical()[0]]
    every = np.arange(len(texts))
    read = TermReader(texts).read(units, every, every[:0])
    rng = np.random.default_rng(0)
    coefficients = rng.normal(size=(len(read.terms.idf), 3)).astype(np.float32)
    head = LexicalHead(read.terms, coefficients, rng.normal(size=3).astype(np.float32), 0.5)
    again = LexicalHead.from_arrays({k: v.copy() for k, v in head.arrays().items()})
    others = [*topical(20, seed=1)[0], "", "日本 çødé", "never seen\nwords"]
    assert (again.terms.words, again.terms.ngrams) == (head.terms.words, head.terms.ngrams)
    np.testing.assert_array_equal(again.log_probabilities(others), head.log_probabilities(others))
    features = of_units(head.terms).fit_transform(texts)
    np.testing.assert_allclose(head.terms.features(texts).toarray(), features.toarray(), atol=1e-6)


def test_heads_of_older_folders_read_words_as_they_did():
    """Their words have no marks of any script: लम instead of फिल्म, अचछ instead of अच्छी."""
    texts, labels = topical()
    words = [("फिल्म", "अच्छी")[label % 2] for label in labels]
    texts = [f"{text} {word}" for text, word in zip(texts, words, strict=True)]
    _, head = fit_lexical(texts, Supervision.of(labels), ngrams=False)
    assert {"फिल्म", "अच्छी"} <= set(head.terms.words)

    older = dict(head.arrays())
    del older["marks"], older["ngrams"]
    terms = "\n".join(head.terms.words).replace("फिल्म", "लम").replace("अच्छी", "अचछ")
    older["terms"] = np.frombuffer(terms.encode(), dtype=np.uint8)
    loaded = LexicalHead.from_arrays(older)
    np.testing.assert_array_equal(loaded.log_probabilities(texts), head.log_probabilities(texts))
    again = LexicalHead.from_arrays(loaded.arrays())
    np.testing.assert_array_equal(again.log_probabilities(texts), head.log_probabilities(texts))


def test_temperatures_are_kept_and_older_folders_have_none():
    texts, labels = topical()
    _, head = fit_lexical(texts, Supervision.of(labels), losses=["squared_hinge"])
    arrays = dict(head.arrays())
    assert LexicalHead.from_arrays(arrays).temperature == head.temperature != 1
    del arrays["temperature"]
    assert LexicalHead.from_arrays(arrays).temperature == 1


def test_random_state_draws_the_folds_and_the_same_again_gives_the_same_bits():
    texts, labels = topical(noise=0.5)
    one, two, other = (fit_lexical(texts, Supervision.of(labels, state)) for state in (0, 0, 1))
    assert one[0] == two[0] != other[0]
    np.testing.assert_array_equal(one[1].coefficients, two[1].coefficients)


@pytest.mark.parametrize("ngrams", [False, True])
@pytest.mark.parametrize(
    "texts", [["", " ", "", "\n"], ["", " ", "a", "!?"], ["one", "two", "three", "four"]]
)
def test_texts_that_share_no_word_have_no_lexical_head(texts, ngrams):
    known = Supervision.of(np.array([0, 0, 1, 1]))
    assert fit_lexical(texts, known, ngrams=ngrams) is None


def test_words_in_no_two_training_texts_of_a_fold_give_no_lexical_head():
    """Each word occurs in two texts, one of which is always held out."""
    texts = ["red apple", "red cherry", "blue sky", "blue sea"]
    labels = np.array([0, 0, 1, 1])
    assert fit_lexical(texts, Supervision.of(labels), ngrams=False) is None
    assert fit_lexical(texts * 2, Supervision.of(np.tile(labels, 2)), ngrams=False) is not None


@pytest.mark.parametrize("n_threads", [1, 4])
def test_texts_are_counted_once_for_each_kind_of_terms(monkeypatch, n_threads):
    monkeypatch.setattr("layerfuse.core.threads._product_threads", lambda: n_threads)
    count, counted = terms._count, []

    def watched(texts, kind):
        counted.append((kind, tuple(texts)))
        time.sleep(0.02)  # so that other threads call it meanwhile
        return count(texts, kind)

    monkeypatch.setattr(terms, "_count", watched)
    texts, labels = topical(60)
    assert fit_lexical(texts, Supervision.of(labels)) is not None
    assert counted == [(kind, tuple(texts)) for kind in (Units(1), Units(2), Units(0, True))]


def test_one_fit_at_a_time_holds_features(monkeypatch):
    monkeypatch.setattr("layerfuse.core.threads._product_threads", lambda: 4)
    fit, at_once, most = lexical._fit_columns, [], []

    def watched(*args):
        at_once.append(args)
        most.append(len(at_once))
        time.sleep(0.02)  # so that other threads call it meanwhile
        columns = fit(*args)
        at_once.pop()
        return columns

    monkeypatch.setattr(lexical, "_fit_columns", watched)
    texts, labels = topical(60)
    assert fit_lexical(texts, Supervision.of(labels)) is not None
    assert set(most) == {1}


def test_the_number_of_terms_is_bounded(monkeypatch):
    monkeypatch.setattr(terms, "MAX_TERMS", 5)
    texts, labels = topical()
    head = fit_lexical(texts, Supervision.of(labels))[1]
    assert {len(head.terms.words), len(head.terms.ngrams)} <= {0, 5}
    assert head.coefficients.shape == (len(head.terms.idf), 3)
    assert len(head.terms.idf) in {5, 10}


def test_word_pairs_are_read_where_they_tell_the_class():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(200) % 2)
    words = [("not", "good") if label else ("good", "not") for label in labels]
    texts = [" ".join([*pair, *rng.choice(COMMON, 2)]) for pair in words]
    candidate, head = fit_lexical(texts, Supervision.of(labels))
    assert "not good" in head.terms.words
    assert candidate.accuracy == 1
    texts, labels = topical()
    by_topic = fit_lexical(texts, Supervision.of(labels))[1]
    assert not any(" " in term for term in by_topic.terms.words)


def test_characters_are_read_where_they_tell_the_class():
    """Forms of words that no two texts share, emoji and a script without spaces."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(120) % 2)
    stems = rng.permutation(len(labels))
    for ends in (("ungen", "lich"), ("😀", "😡"), ("好看", "难看")):
        texts = [f"{i}x{i}{ends[label]}" for i, label in zip(stems, labels, strict=True)]
        candidate, head = fit_lexical(texts, Supervision.of(labels))
        assert ends[0][-1] in head.terms.ngrams
        assert candidate.accuracy > 0.98
        assert head.log_probabilities([f"?{end}" for end in ends]).argmax(1).tolist() == [0, 1]


@pytest.mark.parametrize(("limit", "factor"), [("MAX_CHARACTERS", 1), ("MAX_CLASS_CHARACTERS", 2)])
def test_words_alone_are_read_if_texts_are_very_long(monkeypatch, limit, factor):
    _, labels = topical(60, 2)
    texts = [f"{i}x{i}{'ungen' if label else 'lich'}" for i, label in enumerate(labels)]
    n_characters = sum(map(len, texts))
    monkeypatch.setattr(lexical, limit, factor * n_characters)
    assert fit_lexical(texts, Supervision.of(labels))[1].terms.ngrams
    monkeypatch.setattr(lexical, limit, factor * n_characters - 1)
    assert fit_lexical(texts, Supervision.of(labels)) is None


def test_characters_that_utf8_cannot_encode_are_read_and_saved():
    texts, labels = topical(60)
    texts = [f"{text} \ud83d {label}\udc00" for text, label in zip(texts, labels, strict=True)]
    _, head = fit_lexical(texts, Supervision.of(labels))
    again = LexicalHead.from_arrays(head.arrays())
    assert {" ? ", "0?"} <= set(head.terms.ngrams)
    assert again.terms.ngrams == head.terms.ngrams
