"""``probe``: cross-validated accuracy of a logistic probe."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from layerfuse.core.arrays import ClassIndices, Features, PerText
from layerfuse.core.errors import FeatureError, LabelError
from layerfuse.core.folds import stratified_folds
from layerfuse.core.ridge import present_classes
from layerfuse.core.standardize import Standardizer
from layerfuse.score.info import CriterionInfo, by_draw

# Near the optimum for most standardised features with some hundred dimensions.
_INVERSE_PENALTY = 0.01


def probe(features: Features, labels: ClassIndices, random_state: int = 0) -> PerText:
    """Score each text by whether a logistic probe fitted on the other folds predicts its label.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer. Standardised here, on the training folds only.
    labels : int array of shape (text,)
        Class indices; at least two classes of two texts or more.
    random_state : int
        Draws the folds.

    Returns
    -------
    array of shape (text,)
        1 if predicted correctly, else 0. Their mean is the layer's score.

    Raises
    ------
    LabelError
        If fewer than two classes have two texts or more.
    FeatureError
        If features are not finite.

    Source
    ------
    Alain and Bengio 2016, arXiv:1610.01644: the linear probe of each layer, from which the paper
    starts.
    """
    if not np.isfinite(features).all():
        raise FeatureError("Expected finite features, found NaN or infinity.")
    classes = present_classes(labels)
    counts = np.bincount(classes)
    if np.count_nonzero(counts > 1) < 2:  # noqa: PLR2004
        raise LabelError(
            f"probe needs two classes of two texts or more, got counts {counts.tolist()}."
        )
    right = np.zeros(len(labels))
    for train, held_out in stratified_folds(classes, random_state=random_state):
        standard = Standardizer.fit(features[train])
        model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=1000)
        model.fit(standard.apply(features[train]), classes[train])
        right[held_out] = model.predict(standard.apply(features[held_out])) == classes[held_out]
    return right


PROBE = CriterionInfo(
    name="probe",
    needs=frozenset({"labels"}),
    cost="5 logistic fits, O(n d C) a step",
    source="Alain and Bengio 2016, arXiv:1610.01644",
    summary="cross-validated accuracy of a logistic probe",
    scorer=by_draw(probe),
)
