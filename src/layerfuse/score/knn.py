"""``knn``: leave-one-out accuracy of the nearest neighbours."""

import numpy as np

from layerfuse.core.arrays import ClassIndices, Features, PerText
from layerfuse.core.ridge import one_hot, present_classes
from layerfuse.core.standardize import Standardizer
from layerfuse.score.info import CriterionInfo, by_layer
from layerfuse.score.neighbours import nearest

N_NEIGHBOURS = 5


def knn(features: Features, labels: ClassIndices) -> PerText:
    """Score each text by whether most of its 5 nearest other texts share its label.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer. Standardised here; distances are Euclidean.
    labels : int array of shape (text,)
        Class indices, at least two distinct.

    Returns
    -------
    array of shape (text,)
        1 if predicted correctly, else 0. Their mean is the layer's score. Of classes with equally
        many neighbours, the one with the nearest wins. Of equally distant texts, such as copies,
        their order decides which count as neighbours. So if a layer is equal for many texts, its
        score depends on the order of the texts.

    Raises
    ------
    LabelError
        If all labels are the same.

    Source
    ------
    Cover and Hart 1967, *Nearest neighbor pattern classification*.
    """
    classes = present_classes(labels)
    targets = one_hot(classes)
    standard = Standardizer.fit(features).apply(features)
    n_neighbours = min(N_NEIGHBOURS, len(labels) - 1)
    neighbours = nearest(standard, n_neighbours).texts
    # The j-th neighbour has 1 + 2^-j votes. The excess over 1 never adds up to another vote, and no
    # two sets of neighbours have the same sum.
    votes = 1 + 0.5 ** np.arange(1, n_neighbours + 1)
    counted = sum(vote * targets[neighbours[:, j]] for j, vote in enumerate(votes))
    right: PerText = (np.argmax(counted, axis=1) == classes).astype(np.float64)
    return right


KNN = CriterionInfo(
    name="knn",
    needs=frozenset({"labels"}),
    cost="O(n^2 d)",
    source="Cover and Hart 1967",
    summary="leave-one-out accuracy of the 5 nearest neighbours",
    scorer=by_layer(knn),
)
