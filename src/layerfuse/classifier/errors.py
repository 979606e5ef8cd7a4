"""The error of a classifier that was not fitted, which is also scikit-learn's."""

import sklearn.exceptions

from layerfuse.core.errors import LayerFuseError


class NotFittedError(LayerFuseError, sklearn.exceptions.NotFittedError):  # type: ignore[misc]
    """The classifier was used before ``fit``."""
