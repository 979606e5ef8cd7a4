"""Calibration on held-out decisions: temperature, logarithmic opinion pool, log loss.

Shared by the heads and by the fusions that combine the probes of sources.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

from layerfuse.core.arrays import ClassIndices, PerText, Targets
from layerfuse.core.supervision import Supervision

_NO_GAIN = 1e-6
"""Nats. Two searches for the same best exponent may differ by this, equally for all texts."""


def fit_temperature(decisions: Targets, supervision: Supervision) -> float:
    """Return the factor on held-out decisions that minimises their log loss.

    One added text of no class keeps it finite if no text is wrong.

    Parameters
    ----------
    decisions : array of shape (text, class)
        Held-out decisions.
    supervision : Supervision
        Labels, weights and groups of these texts.

    Returns
    -------
    float
        Positive factor, the inverse of a temperature.
    """
    weights = supervision.held_out_weights()
    return likeliest_factor(decisions, supervision.labels, weights, supervision.groups)


def likeliest_factor(
    decisions: Targets,
    labels: ClassIndices,
    weights: PerText,
    groups: np.ndarray | None = None,
) -> float:
    """Return the factor of ``fit_temperature``, with the weights unchanged.

    For a part of the held-out texts, in which a text may be the only one of a class that texts
    outside the part have.
    """
    scale = float(np.abs(decisions).mean()) or 1.0
    targets = wanted_decisions(decisions, labels, groups)

    by_class = np.ascontiguousarray(decisions.T)

    def loss(log_t: float) -> float:
        factor = np.exp(log_t) / scale
        losses = log_sum_exp(factor * by_class) - factor * targets
        return float(np.average(losses, weights=weights))

    found = minimize_scalar(loss, bounds=(-4.0, 6.0), method="bounded")
    return float(np.exp(found.x) / scale)


def log_sum_exp(by_class: np.ndarray) -> PerText:
    """Return the log of the sum over classes of the exponentials of finite values (class, text).

    The time to find a factor depends on it. SciPy's, which handles infinities and complex numbers,
    takes 3 to 20 times as long. Classes come first because sums over few rows are faster than over
    few columns.
    """
    highest = by_class.max(0)
    return np.asarray(highest + np.log(np.exp(by_class - highest).sum(0)))


def wanted_decisions(
    decisions: Targets, labels: ClassIndices, groups: np.ndarray | None = None
) -> PerText:
    """Return the decision for each text's own class, smoothed by one added text of no class.

    With n texts, the target of each is n / (n + 1) on its own class and 1 / (n + 1) spread over all
    classes. If no text is wrong, the best factor is then finite, and a wider, more even margin has
    the lower loss.

    Parameters
    ----------
    decisions : array of shape (text, class)
        Held-out decisions.
    labels : int array of shape (text,)
        Class indices.
    groups : int array of shape (text,), optional
        Groups of near-duplicates; each counts as one of the n. Default: there are none.
    """
    n_texts = len(labels) if groups is None else len(np.unique(groups))
    smoothing = 1 / (n_texts + 1)
    own_class = decisions[np.arange(len(labels)), labels]
    return np.asarray((1 - smoothing) * own_class + smoothing * decisions.mean(1))


def held_out_log_loss(
    logits: Targets, labels: ClassIndices, weights: PerText | None = None
) -> float:
    """Return the weighted mean log loss of held-out logits, in nats."""
    losses = text_log_losses(np.asarray(log_softmax(logits, axis=1)), labels)
    return float(np.average(losses, weights=weights))


def text_log_losses(log_probabilities: Targets, labels: ClassIndices) -> PerText:
    """Return the log loss of each text, in nats."""
    return np.asarray(-log_probabilities[np.arange(len(labels)), labels])


def gain_in_errors(gains: PerText, weights: PerText, groups: np.ndarray | None = None) -> float:
    """Return the weighted mean of paired gains in units of its standard error.

    Parameters
    ----------
    gains : array of shape (text,)
        Gain of each text, in nats.
    weights : array of shape (text,)
        Weight of each text.
    groups : int array of shape (text,), optional
        Groups of near-duplicates, which gain alike and so count as one draw. Default: each text is
        one draw.

    Returns
    -------
    float
        Above 1 by chance in one of six samples of texts. Negative if the mean is a loss; infinite,
        with the sign of the mean, if all texts gain the same; 0 if the mean is less than a
        millionth of a nat from 0, which may be the imprecision of a search.

    Source
    ------
    Standard errors of clustered samples: Liang and Zeger 1986, Biometrika 73.
    """
    shares = weights / weights.sum()
    mean = float(shares @ gains)
    if abs(mean) < _NO_GAIN:
        return 0.0
    parts = shares * (gains - mean)
    sums = parts if groups is None else np.bincount(groups, weights=parts)
    error = float(np.sqrt(np.square(sums).sum()))
    if error > 0:
        return mean / error
    return float(np.sign(mean)) * np.inf


def pool_gain_in_errors(alone: Targets, pooled: Targets, supervision: Supervision) -> float:
    """Return by how many standard errors a pool has a lower log loss than one of its members.

    Parameters
    ----------
    alone : array of shape (text, class)
        Held-out log probabilities of the member. It is compared under its best exponent; otherwise
        an uninformative second member could win by correcting the calibration of the first.
    pooled : array of shape (text, class)
        Held-out log probabilities of the pool.
    supervision : Supervision
        Labels, weights and groups of these texts.
    """
    labels = supervision.labels
    exponent = fit_pool_weights([alone], supervision)
    sharpened = np.asarray(log_softmax(pool([alone], exponent), axis=1))
    gains = text_log_losses(sharpened, labels) - text_log_losses(pooled, labels)
    return gain_in_errors(gains, supervision.held_out_weights(), supervision.groups)


def pool(members: Sequence[Targets], pool_weights: np.ndarray) -> Targets:
    """Return the weighted sum of log probabilities: logits of the logarithmic opinion pool."""
    pooled = np.zeros_like(members[0], dtype=np.float64)
    for weight, member in zip(pool_weights, members, strict=True):
        pooled += weight * member
    return pooled


def fit_pool_weights(members: Sequence[Targets], supervision: Supervision) -> np.ndarray:
    """Return the non-negative exponents that minimise the held-out log loss: a convex problem.

    ``fit_temperature`` then scales them, so that they stay finite if no text is wrong. If none of
    several members is informative, all get the same, very small exponent: the pool then still
    decides, but with almost no confidence.
    """
    labels, weights = supervision.labels, supervision.held_out_weights()
    by_class = np.stack([member.T for member in members])  # (member, class, text)
    own_class = by_class[:, labels, np.arange(len(labels))]  # (member, text)

    def loss_and_gradient(pool_weights: np.ndarray) -> tuple[float, np.ndarray]:
        logits = np.tensordot(pool_weights, by_class, axes=1)
        totals = log_sum_exp(logits)
        gradients = (by_class * np.exp(logits - totals)).sum(1) - own_class
        loss = float(np.average(totals - pool_weights @ own_class, weights=weights))
        return loss, np.asarray(np.average(gradients, axis=1, weights=weights))

    start = np.full(len(members), 1 / len(members))
    bounds = [(0.0, None)] * len(members)
    found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds)
    exponents = found.x if found.x.any() or len(members) == 1 else start
    temperature = fit_temperature(pool(members, exponents), supervision)
    return np.asarray(temperature * exponents)
