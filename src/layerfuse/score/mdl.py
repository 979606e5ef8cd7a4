"""``mdl``: how short the labels become for who reads the features, counting what learning costs."""

import itertools

import numpy as np
from sklearn.linear_model import LogisticRegression

from layerfuse.core.arrays import ClassIndices, Features, PerText
from layerfuse.core.errors import LabelError
from layerfuse.core.standardize import Standardizer
from layerfuse.score.info import CriterionInfo, by_draw

BLOCK_ENDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
"""Shares of the texts after which the probe is fitted anew."""

_INVERSE_PENALTY = 16.0  # for rows of mean squared norm 1


def mdl(features: Features, labels: ClassIndices, random_state: int = 0) -> PerText:
    """Score each text by the length of its label in the online code, negated.

    The texts are cut into blocks that end at 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.25, 12.5, 25, 50 and
    100 %. The labels of the first take log2 C bits each; those of block i take -log2 p under a
    logistic probe fitted on all blocks before it. The mean over texts is L / n for the online code
    length L; n log2 C / L is the compression of the paper. Higher, nearer to 0, is better: it
    rewards a probe that is right early.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer. Standardised by the texts before the block.
    labels : int array of shape (text,)
        Class indices, at least two distinct.
    random_state : int
        Draws the order of texts.

    Returns
    -------
    array of shape (text,)
        Bits, at most 0. Their mean is the layer's score; -log2 C is no better than to know nothing.

    Raises
    ------
    LabelError
        If all labels are the same.

    Notes
    -----
    A probe fitted on t texts gets the weight t / (t + C) and equal shares of the classes the rest,
    as in Laplace's rule of succession, so that a class not seen yet has a finite length.

    Source
    ------
    Voita and Titov 2020, arXiv:2003.12298, section 2.2.2, online code.
    """
    present, classes = np.unique(labels, return_inverse=True)
    n_classes = len(present)
    if n_classes < 2:  # noqa: PLR2004
        raise LabelError("Expected labels of at least two classes, all are the same.")
    order = np.random.default_rng(random_state).permutation(len(labels))
    ends = sorted({max(1, round(share * len(labels))) for share in BLOCK_ENDS})
    bits = np.empty(len(labels))
    bits[order[: ends[0]]] = np.log2(n_classes)
    for start, end in itertools.pairwise(ends):
        before, block = order[:start], order[start:end]
        standard = Standardizer.fit(features[before])
        guess = _fit_and_guess(
            standard.apply(features[before]),
            classes[before],
            standard.apply(features[block]),
            n_classes,
        )
        mixed = (start * guess + 1.0) / (start + n_classes)
        bits[block] = -np.log2(mixed[np.arange(len(block)), classes[block]])
    return -bits


def _fit_and_guess(
    seen: Features, labels: ClassIndices, unseen: np.ndarray, n_classes: int
) -> np.ndarray:
    """Return probabilities (text, class) of a probe; 0 for a class not seen."""
    guess = np.zeros((len(unseen), n_classes))
    present = np.unique(labels)
    if len(present) == 1:
        guess[:, present] = 1.0
        return guess
    width = max(1, int(np.count_nonzero(seen.any(0))))
    model = LogisticRegression(C=_INVERSE_PENALTY / width, max_iter=300).fit(seen, labels)
    guess[:, model.classes_] = model.predict_proba(unseen)
    return guess


MDL = CriterionInfo(
    name="mdl",
    needs=frozenset({"labels"}),
    cost="10 logistic fits on 0.1 to 50 % of the texts, O(n d C) a step",
    source="Voita and Titov 2020, arXiv:2003.12298",
    summary="length of the labels in the online code of a logistic probe, in bits a text, negated",
    scorer=by_draw(mdl),
)
