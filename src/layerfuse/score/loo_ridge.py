"""``loo_ridge``: leave-one-out Brier score of a ridge classifier, exact and in closed form."""

import numpy as np
import scipy.linalg

from layerfuse.core.arrays import ClassIndices, Features, PerSample
from layerfuse.core.errors import FeatureError
from layerfuse.core.ridge import N_PENALTIES, RidgeFit, loo_residuals, one_hot, ridge_path
from layerfuse.core.sample import sample_texts
from layerfuse.core.standardize import Standardizer
from layerfuse.score.info import CriterionInfo, by_layer

MAX_JUDGED = 8192
"""Texts left out one by one. The fit sees all; more would cost more than the fit itself."""

_ROWS = 8192  # centred at once, so that they are still in the processor's cache when multiplied


def loo_ridge(features: Features, labels: ClassIndices, random_state: int = 0) -> PerSample:
    """Score each text by how well a ridge classifier that never saw it predicts its label.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer. Standardised here.
    labels : int array of shape (text,)
        Class indices, at least two distinct.
    random_state : int
        Draws 8,192 texts to be left out, where there are more of them than that and than features;
        the classifier is fitted on all others even so.

    Returns
    -------
    array of shape (sample,)
        Minus the leave-one-out Brier score of each text left out, under the best of 13 penalties
        for all of them. Their mean is the layer's score: 0 is perfect, a constant guess on C
        balanced classes gives -(1 - 1/C).

    Raises
    ------
    LabelError
        If all labels are the same.
    FeatureError
        If features are not finite.

    Notes
    -----
    O(n d min(n, d) + min(n, d)^3) for all penalties and classes. The penalty is chosen on the same
    errors it is judged by, which favours no layer: it is one number against thousands of texts.

    Source
    ------
    Allen 1974 (PRESS); Golub, Heath and Wahba 1979 for ridge. Brier 1950.
    """
    targets = one_hot(labels)
    if features.shape[1] > len(features) or len(features) <= MAX_JUDGED:
        standard = Standardizer.fit(features).apply(features)
        _, losses = ridge_path(standard).best(targets)
        return -losses
    rows = sample_texts(labels, MAX_JUDGED, random_state)
    return -_losses_at(rows, features, targets)


def _losses_at(rows: np.ndarray, features: Features, targets: np.ndarray) -> PerSample:
    """Return the leave-one-out Brier losses of some texts under a fit on all, in one pass.

    The product X'X is taken of features less the mean of some texts, near enough to their own mean
    that nothing cancels when the rest of it is taken off afterwards. Scale can wait for the end.
    """
    n_texts = len(features)
    near = features[:: max(1, n_texts // 1024)].mean(0, dtype=np.float64).astype(features.dtype)
    gram, sums = _products(features, near, targets)
    offset = sums.sum(1) / n_texts
    if not np.isfinite(offset).all():
        raise FeatureError("Expected finite features, found NaN or infinity.")
    counts = targets.sum(0)
    gram -= n_texts * np.outer(offset, offset)
    scale = Standardizer.of_moments(near + offset, np.diag(gram) / n_texts).scale
    gram *= np.outer(scale, scale)
    cross = scale[:, None] * (sums - np.outer(offset, counts))
    eigenvalues, vectors = scipy.linalg.eigh(
        gram.astype(features.dtype), driver="evd", overwrite_a=True, check_finite=False
    )
    keep = eigenvalues > max(float(eigenvalues[-1]), 0.0) * 4 * np.finfo(features.dtype).eps
    eigenvalues, axes = eigenvalues[keep], vectors[:, keep] / np.sqrt(eigenvalues[keep])
    mean_eigenvalue = float(eigenvalues.mean()) if len(eigenvalues) else 1.0
    fit = RidgeFit(axes.T @ cross, eigenvalues, np.logspace(-3, 3, N_PENALTIES) * mean_eigenvalue)
    centre = near + offset.astype(features.dtype)
    basis = (features[rows] - centre) @ (scale[:, None].astype(features.dtype) * axes)
    centred = targets[rows] - counts / n_texts
    losses = np.concatenate(
        [
            np.square(loo_residuals(centred[part], fitted, leverages + 1 / n_texts)).sum(2)
            for part, fitted, leverages in fit.of(basis)
        ]
    )
    return np.asarray(losses[:, np.argmin(losses.sum(0))])


def _products(
    features: Features, near: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return X'X and X'Y, in double precision, of features less a vector near their mean."""
    width = features.shape[1]
    gram = np.zeros((width, width), dtype=features.dtype)
    sums = np.zeros((targets.shape[1], width))
    columns = np.ascontiguousarray(targets.T, dtype=features.dtype)
    room = np.empty((_ROWS, width), dtype=features.dtype)
    for start in range(0, len(features), _ROWS):
        part = features[start : start + _ROWS]
        part = np.subtract(part, near, out=room[: len(part)])
        gram += part.T @ part
        sums += columns[:, start : start + _ROWS] @ part
    return gram.astype(np.float64), sums.T


LOO_RIDGE = CriterionInfo(
    name="loo_ridge",
    needs=frozenset({"labels"}),
    cost="O(n d min(n, d) + min(n, d)^3)",
    source="Allen 1974; Golub, Heath and Wahba 1979",
    summary="leave-one-out Brier score of ridge regression",
    scorer=by_layer(loo_ridge),
)
