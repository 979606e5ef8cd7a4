"""The TF-IDF head: a linear classifier on TF-IDF features of words, word pairs and n-grams.

Averaged token states blur single words. On topical texts the TF-IDF head therefore makes other
errors than the layers do, and it costs little. Character n-grams help most in languages that the
backbones do not know, and where emoji and spelling matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.special import log_expit, log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from layerfuse.core.arrays import Coefficients, Targets
from layerfuse.core.supervision import Supervision
from layerfuse.train.folds import cross_validate, one_thread_each
from layerfuse.train.head import HeadCandidate
from layerfuse.train.terms import Read, TermReader, Terms, Units

Loss = Literal["logistic", "squared_hinge"]

INVERSE_PENALTIES: dict[Loss, tuple[float, ...]] = {
    "logistic": (1.0, 4.0, 16.0, 64.0, 256.0),
    "squared_hinge": (0.125, 0.5, 2.0, 8.0),
}
"""For rows of norm 1, as TF-IDF rows are."""


MAX_CHARACTERS = 10_000_000
"""Most characters of all texts of which n-grams are tried; bounds memory, up to 400 bytes a
character if texts are short."""

MAX_CLASS_CHARACTERS = 500_000_000
"""Most characters times classes; bounds time. R52 has 220 million, and takes a minute more."""


class _Setting(NamedTuple):
    """Settings of a fit.

    Word pairs help with sentiment and questions and hurt with topics: held-out accuracy without and
    with them is 75.3 and 76.6 on MR, 95.2 and 94.7 on R52.
    """

    units: Units
    loss: Loss
    inverse_penalty: float


_MAX_ITERATIONS = 10_000
"""Far more than fits need. Under the weakest penalty they need up to 670 on R8, TREC-6 and SST-2;
scikit-learn's default of 100 stops too early, with probabilities off by up to a fifth."""

_LIBLINEAR = Lock()
"""liblinear has one random state per process, and a fit in another thread would reset its seed. A
thread reads its features while it holds the lock, so that those of one fit are in memory."""


@dataclass(frozen=True, eq=False)
class LexicalHead:
    """The TF-IDF head: a one-vs-rest linear classifier on TF-IDF features of the texts.

    Parameters
    ----------
    terms : Terms
        Words, word pairs and character n-grams, one per feature.
    coefficients : float32 array of shape (feature, class)
        One column per class.
    intercept : float32 array of shape (class,)
        One number per class, added to the decision values.
    temperature : float
        Factor on log probabilities, fitted on held-out texts. Margins are not probabilities, and
        one-vs-rest logistic regressions are not calibrated jointly.
    """

    terms: Terms
    coefficients: Coefficients
    intercept: np.ndarray
    temperature: float = 1.0

    def log_probabilities(self, texts: Sequence[str]) -> Targets:
        """Return log probabilities (text, class)."""
        return self.of_features(self.terms.features(texts))

    def of_features(self, features: csr_array) -> Targets:
        """Return log probabilities (text, class) of TF-IDF features (text, feature)."""
        decisions = (features @ self.coefficients + self.intercept).astype(float)
        # Log probability of each class against the rest, then normalised over the classes.
        return np.asarray(log_softmax(self.temperature * log_expit(decisions), axis=1))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        return {
            **self.terms.arrays(),
            "coefficients": self.coefficients,
            "intercept": self.intercept,
            "temperature": np.array([self.temperature]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "LexicalHead":
        """Rebuild from ``arrays``."""
        # Folders of format 3 and before have no temperature.
        temperature = float(arrays["temperature"][0]) if "temperature" in arrays else 1.0
        terms = Terms.from_arrays(arrays)
        return cls(terms, arrays["coefficients"], arrays["intercept"], temperature)


def fit_lexical(
    texts: Sequence[str],
    supervision: Supervision,
    losses: Sequence[Loss] = ("logistic", "squared_hinge"),
    *,
    ngrams: bool = True,
) -> tuple[HeadCandidate, LexicalHead] | None:
    """Fit a TF-IDF head; terms, loss and penalty are cross-validated.

    Parameters
    ----------
    texts : sequence of str
        Training texts.
    supervision : Supervision
        Labels, weights and groups of the texts. A group of near-duplicates stays in one fold, since
        words predict phrases of the same sentence better than new texts. ``random_state`` draws the
        folds and the order of the solver.
    losses : sequence of str
        Losses to choose from by held-out log loss. ``squared_hinge`` separates topics better;
        ``logistic`` can be better calibrated. Held-out log loss and accuracy, hinge then logistic:
        .191 and 95.4, .198 and 94.7 on R52; 1.23 and 67.7, 1.19 and 66.6 on ohsumed.
    ngrams : bool
        Try character n-grams, unless the texts have more than ten million characters in all, or
        more than 500 million times the number of classes. They are used if they lower the held-out
        log loss by more than one standard error.

    Returns
    -------
    candidate : HeadCandidate
        Cross-validated quality; the penalty is scikit-learn's ``C``. Terms and document frequencies
        come from the training texts of each fold. From all texts they would include terms that only
        the held-out texts contribute, which new texts cannot.
    head : LexicalHead
        Fitted on all texts.

    If no word occurs in two texts, or in two training texts of any fold, and n-grams do not help,
    None is returned, since there is no held-out quality.

    Source
    ------
    Wang and Manning 2012, *Baselines and Bigrams*, ACL P12-2018, for words with word pairs; Cavnar
    and Trenkle 1994, *N-Gram-Based Text Categorization*, SDAIR, for n-grams; Fan et al. 2008,
    *LIBLINEAR*, JMLR 9, for both losses. One-vs-rest is ten times faster than the multinomial fit
    on R8 and R52, and has the lower held-out log loss.
    """
    n_classes, reader = supervision.n_classes, TermReader(texts)

    def fit(setting: _Setting, tfidf: Read, train: np.ndarray) -> LexicalHead:
        columns = _fit_columns(tfidf.features, supervision.part(train), n_classes, setting)
        return LexicalHead(tfidf.terms, *columns)

    def fit_and_predict(setting: _Setting, train: np.ndarray, rest: np.ndarray) -> Targets:
        with _LIBLINEAR:
            tfidf = reader.read(setting.units, train, rest)
            if tfidf is None:  # in this fold, no term occurs in two training texts
                return np.zeros((len(rest), n_classes))
            return fit(setting, tfidf, train).of_features(tfidf.others)

    def validate(settings: Sequence[_Setting]) -> tuple[_Setting, HeadCandidate, float]:
        setting, held_out = cross_validate(fit_and_predict, settings, supervision)
        penalty = setting.inverse_penalty
        return setting, *HeadCandidate.calibrated("lexical", penalty, held_out, supervision)

    best = validate(
        [
            _Setting(Units(longest), loss, penalty)
            for longest in (1, 2)
            for loss in losses
            for penalty in INVERSE_PENALTIES[loss]
        ]
    )
    n_characters = sum(map(len, texts))
    few = n_characters <= MAX_CHARACTERS and n_characters * n_classes <= MAX_CLASS_CHARACTERS
    if ngrams and few:
        finer = validate(_with_ngrams(best[0]))
        if finer[1].gain_errors(best[1], supervision) > 1:
            best = finer
    setting, candidate, temperature = best
    if not np.ptp(candidate.held_out):  # no fold has a term that occurs in two training texts
        return None
    every = np.arange(len(texts))
    tfidf = reader.read(setting.units, every, every[:0])
    if tfidf is None:
        return None
    with one_thread_each(), _LIBLINEAR:
        head = fit(setting, tfidf, every)
    return candidate, replace(head, temperature=temperature)


def _with_ngrams(setting: _Setting) -> list[_Setting]:
    """Return the same setting on n-grams alone, and on n-grams beside its words.

    Texts have ten to twenty times as many n-grams as words, which makes fits far slower. So only
    the best setting of words is tried.
    """
    units = Units(longest=0, ngrams=True), setting.units._replace(ngrams=True)
    return [setting._replace(units=one) for one in units]


def _fit_columns(
    features: csr_array, known: Supervision, n_classes: int, setting: _Setting
) -> tuple[Coefficients, np.ndarray]:
    """Fit one-vs-rest; return (feature, class) coefficients and (class,) intercept."""
    coefficients = np.zeros((features.shape[1], n_classes), dtype=np.float32)
    # A class without training texts gets the log odds of one text among all, or the margin -1 of
    # texts outside a class.
    absent = -np.log(len(known.labels) + 1) if setting.loss == "logistic" else -1.0
    intercept = np.full(n_classes, absent, dtype=np.float32)
    features = features.astype(float)  # as liblinear needs; else once for each class
    # With two classes, both one-vs-rest problems are the same up to the sign.
    for label in range(n_classes) if n_classes > 2 else [1]:  # noqa: PLR2004
        positive = known.labels == label
        if not positive.any():
            continue
        model = _model(setting, known.random_state)
        model.fit(features, positive, sample_weight=known.weights)
        coefficients[:, label], intercept[label] = model.coef_[0], model.intercept_[0]
    if n_classes == 2:  # noqa: PLR2004
        coefficients[:, 0], intercept[0] = -coefficients[:, 1], -intercept[1]
    return coefficients, intercept


def _model(setting: _Setting, random_state: int) -> LogisticRegression | LinearSVC:
    if setting.loss == "logistic":
        return LogisticRegression(
            C=setting.inverse_penalty,
            solver="liblinear",
            dual=True,
            tol=1e-2,
            max_iter=_MAX_ITERATIONS,
            random_state=random_state,
        )
    return LinearSVC(
        C=setting.inverse_penalty,
        loss="squared_hinge",
        dual=True,
        tol=1e-2,
        max_iter=_MAX_ITERATIONS,
        random_state=random_state,
    )
