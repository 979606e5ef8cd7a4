"""``loo_ridge``: leave-one-out Brier score of a ridge classifier, exact and in closed form."""

import numpy as np

from layerfuse.core.arrays import ClassIndices, Features, PerText
from layerfuse.core.errors import FeatureError
from layerfuse.core.ridge import one_hot, ridge_path
from layerfuse.core.standardize import Standardizer
from layerfuse.score.info import CriterionInfo, by_layer


def loo_ridge(features: Features, labels: ClassIndices) -> PerText:
    """Score each text by how well a ridge classifier that never saw it predicts its label.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer. Standardised here.
    labels : int array of shape (text,)
        Class indices, at least two distinct.

    Returns
    -------
    array of shape (text,)
        Minus the leave-one-out Brier score of each text, under the best of 13 penalties for all of
        them. Their mean is the layer's score: 0 is perfect, a constant guess on C balanced classes
        gives -(1 - 1/C).

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
    if not np.isfinite(features).all():
        raise FeatureError("Expected finite features, found NaN or infinity.")
    standard = Standardizer.fit(features).apply(features)
    _, losses = ridge_path(standard).best(one_hot(labels))
    return -losses


LOO_RIDGE = CriterionInfo(
    name="loo_ridge",
    needs=frozenset({"labels"}),
    cost="O(n d min(n, d) + min(n, d)^3)",
    source="Allen 1974; Golub, Heath and Wahba 1979",
    summary="leave-one-out Brier score of ridge regression",
    scorer=by_layer(loo_ridge),
)
