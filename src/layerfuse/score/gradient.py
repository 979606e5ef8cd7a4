"""``gradient``: how much the loss of one head on all layers depends on each layer."""

import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from layerfuse.core.arrays import PerText, Targets
from layerfuse.core.layers import LayerRef
from layerfuse.core.ridge import present_classes
from layerfuse.core.sample import sample_texts
from layerfuse.score.axes import project
from layerfuse.score.info import CriterionInfo, Evidence

MAX_TEXTS = 4096
N_AXES = 64
_INVERSE_PENALTY = 16.0  # for rows of mean squared norm 1, which all layers together have


def gradient(evidence: Evidence) -> dict[LayerRef, PerText]:
    """Score each layer of a backbone by the gradient of a loss with respect to a mask on it.

    One multinomial logistic regression is fitted on all layers, with logits
    z = b + sum_l m_l W_l' h_l and every mask m_l = 1. For the cross-entropy of a text with
    probabilities p and one-hot label y,

        dLoss / dm_l = sum_c (p_c - y_c) (W_l' h_l)_c,

    which needs only the residuals and each layer's share of the logits, and no backward pass. The
    score I_l is the mean of the absolute value over texts: the first-order change of the loss if
    the layer is masked. Higher is better.

    Parameters
    ----------
    evidence : Evidence
        Layers of one backbone. Each is standardised, scaled by 1/sqrt(width) and projected on its
        64 leading principal axes, so that only these are in memory for all layers at once. If there
        are more than 4,096 texts, 4,096 are drawn.

    Returns
    -------
    mapping of LayerRef to array of shape (sample,)
        |dLoss / dm_l| of each text in the sample.

    Raises
    ------
    FeatureError
        If a layer is not finite.

    Source
    ------
    Michel et al. 2019, arXiv:1905.10650, equation 2, with layers for heads; Gwak and Jung 2025,
    arXiv:2504.05764, for gradient magnitude as a part of layer importance.
    """
    refs = evidence.block.refs
    classes = present_classes(evidence.labels)
    rows = sample_texts(classes, MAX_TEXTS, evidence.random_state)
    labels = classes[rows]  # of every class, as the sample leaves none out
    blocks = [
        project(evidence.row(ref)[rows], N_AXES) / np.float32(np.sqrt(len(refs))) for ref in refs
    ]
    head = LogisticRegression(C=_INVERSE_PENALTY, max_iter=300, tol=1e-4)
    head.fit(np.concatenate(blocks, axis=1), labels)
    weights, intercept, targets = head.coef_.T, head.intercept_, np.eye(len(head.classes_))[labels]
    if len(head.classes_) == 2:  # noqa: PLR2004
        # scikit-learn keeps the logit of the second class only; that of the first is 0.
        weights = np.concatenate([np.zeros_like(weights), weights], axis=1)
        intercept = np.concatenate([np.zeros(1), intercept])
    ends = np.cumsum([block.shape[1] for block in blocks])[:-1]
    shares = [b @ w for b, w in zip(blocks, np.split(weights, ends), strict=True)]
    return dict(zip(refs, np.abs(mask_gradients(shares, intercept, targets)), strict=True))


def mask_gradients(shares: list[Targets], intercept: np.ndarray, targets: Targets) -> np.ndarray:
    """Return dLoss / dm_l at m = 1 for each layer and text.

    Parameters
    ----------
    shares : list of arrays of shape (text, class)
        Share of each layer in the logits.
    intercept : array of shape (class,)
        Intercepts, which no mask multiplies.
    targets : array of shape (text, class)
        One-hot.

    Returns
    -------
    array of shape (layer, text)
        Signed.
    """
    residuals = softmax(np.sum(shares, axis=0) + intercept, axis=1) - targets
    return np.stack([np.sum(residuals * share, axis=1) for share in shares])


GRADIENT = CriterionInfo(
    name="gradient",
    needs=frozenset({"labels"}),
    cost="O(m d min(m, d)) for m <= 4096 texts, and one logistic fit on 64 L features",
    source="Michel et al. 2019, arXiv:1905.10650; Gwak and Jung 2025, arXiv:2504.05764",
    summary="gradient of one head's loss with respect to a mask on each layer",
    scorer=gradient,
)
