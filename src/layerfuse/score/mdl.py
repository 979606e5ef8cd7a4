"""``mdl``: minimum description length of the labels given the features, by an online code."""

import itertools

import numpy as np
from sklearn.linear_model import LogisticRegression

from layerfuse.core.arrays import ClassIndices, Features, PerText
from layerfuse.core.ridge import present_classes
from layerfuse.core.standardize import Standardizer
from layerfuse.score.info import CriterionInfo, by_draw

BLOCK_ENDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
"""Shares of the texts after which the probe is fitted anew."""

_INVERSE_PENALTY = 16.0  # for rows of mean squared norm 1


def mdl(features: Features, labels: ClassIndices, random_state: int = 0) -> PerText:
    """Score each text by minus the length of its label in the online code.

    The texts are split into blocks that end at 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.25, 12.5, 25, 50 and
    100 %. A label of the first block takes log2 C bits; one of a later block takes -log2 p under a
    logistic probe fitted on all blocks before it. The mean length is L / n for the online code
    length L; n log2 C / L is the compression of the paper. Higher, nearer to 0, is better: probes
    that learn from few texts are rewarded.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer. Each block is standardised with the mean and scale of the texts before it.
    labels : int array of shape (text,)
        Class indices, at least two distinct.
    random_state : int
        Draws the order of texts.

    Returns
    -------
    array of shape (text,)
        Bits, at most 0. Their mean is the layer's score; a uniform guess has -log2 C.

    Raises
    ------
    LabelError
        If all labels are the same.

    Notes
    -----
    The probabilities of a probe fitted on t texts are mixed with uniform ones, with weights
    t / (t + C) and C / (t + C) as in Laplace's rule of succession, so that a class without training
    texts has a finite length.

    Source
    ------
    Voita and Titov 2020, arXiv:2003.12298, section 2.2.2, online code.
    """
    classes = present_classes(labels)
    n_classes = int(classes.max()) + 1
    order = np.random.default_rng(random_state).permutation(len(labels))
    ends = sorted({max(1, round(share * len(labels))) for share in BLOCK_ENDS})
    bits = np.empty(len(labels))
    bits[order[: ends[0]]] = np.log2(n_classes)
    for start, end in itertools.pairwise(ends):
        before, block = order[:start], order[start:end]
        standard = Standardizer.fit(features[before])
        predicted = _fit_and_predict(
            standard.apply(features[before]),
            classes[before],
            standard.apply(features[block]),
            n_classes,
        )
        mixed = (start * predicted + 1.0) / (start + n_classes)
        bits[block] = -np.log2(mixed[np.arange(len(block)), classes[block]])
    return -bits


def _fit_and_predict(
    seen: Features, labels: ClassIndices, unseen: np.ndarray, n_classes: int
) -> np.ndarray:
    """Return probabilities (text, class) of a probe; 0 for a class without training texts."""
    predicted = np.zeros((len(unseen), n_classes))
    present = np.unique(labels)
    if len(present) == 1:
        predicted[:, present] = 1.0
        return predicted
    width = max(1, int(np.count_nonzero(seen.any(0))))
    model = LogisticRegression(C=_INVERSE_PENALTY / width, max_iter=300).fit(seen, labels)
    predicted[:, model.classes_] = model.predict_proba(unseen)
    return predicted


MDL = CriterionInfo(
    name="mdl",
    needs=frozenset({"labels"}),
    cost="10 logistic fits on 0.1 to 50 % of the texts, O(n d C) a step",
    source="Voita and Titov 2020, arXiv:2003.12298",
    summary="minus the length of the labels in the online code of a logistic probe, bits a text",
    scorer=by_draw(mdl),
)
