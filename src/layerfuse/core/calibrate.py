"""Held-out decisions to probabilities that mean what they say: temperature, pool, log loss.

Shared by the heads and by the fusions that mix what a probe of each source says.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

from layerfuse.core.arrays import ClassIndices, PerText, Targets
from layerfuse.core.supervision import Supervision

_NO_GAIN = 1e-6
"""Nats: what two searches for the same best exponent may differ by, for all texts alike."""


def fit_temperature(decisions: Targets, supervision: Supervision) -> float:
    """Return the factor on held-out decision values that makes their softmax most likely.

    As if one more text were of no class: else it were without end where no text is wrong.

    Parameters
    ----------
    decisions : array of shape (text, class)
        Of texts that were held out.
    supervision : Supervision
        Of these texts.

    Returns
    -------
    float
        Positive.
    """
    weights = supervision.held_out_weights()
    return likeliest_factor(decisions, supervision.labels, weights, supervision.groups)


def likeliest_factor(
    decisions: Targets,
    labels: ClassIndices,
    weights: PerText,
    groups: np.ndarray | None = None,
) -> float:
    """Return the factor of ``fit_temperature`` for weights that are taken as they are.

    For a part of what was held out, where a text may be the only one of a class that others,
    elsewhere, have.
    """
    scale = float(np.abs(decisions).mean()) or 1.0
    wanted = wanted_decisions(decisions, labels, groups)

    by_class = np.ascontiguousarray(decisions.T)

    def loss(log_t: float) -> float:
        factor = np.exp(log_t) / scale
        losses = log_sum_exp(factor * by_class) - factor * wanted
        return float(np.average(losses, weights=weights))

    found = minimize_scalar(loss, bounds=(-4.0, 6.0), method="bounded")
    return float(np.exp(found.x) / scale)


def log_sum_exp(by_class: np.ndarray) -> PerText:
    """Return the logarithm of the sum over classes of exponentials, of finite values (class, text).

    What decides how long it takes to find a factor: SciPy's, which knows infinities and complex
    numbers, takes 3 to 20 times as long, and sums over few columns longer than over few rows.
    """
    highest = by_class.max(0)
    return np.asarray(highest + np.log(np.exp(by_class - highest).sum(0)))


def wanted_decisions(
    decisions: Targets, labels: ClassIndices, groups: np.ndarray | None = None
) -> PerText:
    """Return the decision for each text's own class, as if one more text were of no class.

    Of n texts each wants its own class by n parts in n + 1, and any class by one. Where no text is
    wrong, the most likely factor is then finite, and the wider and evener margin the likelier one.

    Parameters
    ----------
    decisions : array of shape (text, class)
        Of texts that were held out.
    labels : int array of shape (text,)
        Their classes.
    groups : int array of shape (text,), optional
        Texts that repeat each other, which count as one of the n. Default: none do.
    """
    n_texts = len(labels) if groups is None else len(np.unique(groups))
    unsure = 1 / (n_texts + 1)
    own = decisions[np.arange(len(labels)), labels]
    return np.asarray((1 - unsure) * own + unsure * decisions.mean(1))


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
        What each text gains, in nats.
    weights : array of shape (text,)
        Weight of each text.
    groups : int array of shape (text,), optional
        Texts that repeat each other gain alike: a group is drawn as a whole. Default: each text is.

    Returns
    -------
    float
        Above 1 by chance in one of six draws of texts; infinite where all texts gain the same; 0
        where they gain less than a millionth of a nat, which may be all that a search left over.

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
    """Return by how many standard errors a pool is better than one of its members.

    Parameters
    ----------
    alone : array of shape (text, class)
        Held-out log probabilities of the member, which gets the best exponent of its own: else one
        whose confidence is off would let in others that know nothing.
    pooled : array of shape (text, class)
        Held-out log probabilities of the pool.
    supervision : Supervision
        Of these texts.
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
    """Return the non-negative exponents that make held-out labels most likely: a convex problem.

    How sure the pool is on the whole, ``fit_temperature`` says in the end: else exponents were
    without end where no text is wrong. Of several members of which none knows anything all count
    alike, and next to nothing: a pool shall decide something, and be sure of nothing.
    """
    labels, told = supervision.labels, supervision.held_out_weights()
    by_class = np.stack([member.T for member in members])  # (member, class, text)
    own = by_class[:, labels, np.arange(len(labels))]  # (member, text): of the true class

    def loss_and_gradient(pool_weights: np.ndarray) -> tuple[float, np.ndarray]:
        logits = np.tensordot(pool_weights, by_class, axes=1)
        totals = log_sum_exp(logits)
        gradients = (by_class * np.exp(logits - totals)).sum(1) - own
        loss = float(np.average(totals - pool_weights @ own, weights=told))
        return loss, np.asarray(np.average(gradients, axis=1, weights=told))

    start = np.full(len(members), 1 / len(members))
    bounds = [(0.0, None)] * len(members)
    found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds)
    exponents = found.x if found.x.any() or len(members) == 1 else start
    temperature = fit_temperature(pool(members, exponents), supervision)
    return np.asarray(temperature * exponents)
