"""``cka_label``: alignment of the kernel of a layer with the kernel of the labels."""

import numpy as np

from layerfuse.core.arrays import ClassIndices, Features
from layerfuse.core.errors import ShapeError
from layerfuse.core.hsic import HSIC_MINIMUM
from layerfuse.core.ridge import one_hot, present_classes
from layerfuse.core.standardize import Standardizer
from layerfuse.score.gram import gram
from layerfuse.score.info import CriterionInfo, by_layer


def cka_label(features: Features, labels: ClassIndices) -> float:
    """Return the debiased linear CKA of features and one-hot labels.

    CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with K = XX' of standardised features and
    L = YY' of one-hot labels. With X and Y centred and diagonals k and l, the unbiased estimate is

        n (n - 3) HSIC = tr(KL) - k'l + sum(k) sum(l) / ((n - 1)(n - 2)) - 2 k'l / (n - 2).

    Since tr(KL) = ||X'Y||^2, no (text, text) matrix is needed. With the biased estimate, noise in
    more dimensions than texts would score above 0. Higher is better.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer. Standardised here.
    labels : int array of shape (text,)
        Class indices, at least two distinct.

    Returns
    -------
    float
        About -1 .. 1; 0 for a constant layer.

    Raises
    ------
    LabelError
        If all labels are the same.
    ShapeError
        If there are fewer than four texts.

    Source
    ------
    Cristianini et al. 2001, kernel-target alignment; Cortes et al. 2012, arXiv:1203.0550, centred;
    Song et al. 2012, *JMLR* 13, equation 5, unbiased; Kornblith et al. 2019, arXiv:1905.00414.
    """
    targets = one_hot(present_classes(labels))
    n_texts = len(labels)
    if n_texts < HSIC_MINIMUM:
        raise ShapeError(f"cka_label needs at least {HSIC_MINIMUM} texts, got {n_texts}.")
    standard = Standardizer.fit(features).apply(features)
    targets -= targets.mean(0)
    features_diagonal = np.square(standard).sum(1, dtype=np.float64)
    labels_diagonal = np.square(targets).sum(1)
    cross = standard.T @ targets.astype(standard.dtype)
    both = _unbiased(
        float(np.square(cross, dtype=np.float64).sum()), features_diagonal, labels_diagonal
    )
    trace = float(np.square(gram(standard, centre=False)).sum())
    of_features = _unbiased(trace, features_diagonal, features_diagonal)
    of_labels = _unbiased(
        float(np.square(targets.T @ targets).sum()), labels_diagonal, labels_diagonal
    )
    return both / np.sqrt(of_features * of_labels) if min(of_features, of_labels) > 0 else 0.0


def _unbiased(trace: float, k: np.ndarray, other: np.ndarray) -> float:
    """Return n (n - 3) HSIC from tr(KL) and the two diagonals."""
    n, products = len(k), float(k @ other)
    sums = float(k.sum()) * float(other.sum())
    return trace - products + sums / ((n - 1) * (n - 2)) - 2 * products / (n - 2)


CKA_LABEL = CriterionInfo(
    name="cka_label",
    needs=frozenset({"labels"}),
    cost="O(n d min(n, d))",
    source="Cristianini et al. 2001; Song et al. 2012; Kornblith et al. 2019, arXiv:1905.00414",
    summary="debiased alignment of the kernels of features and labels",
    scorer=by_layer(cka_label),
)
