"""The error of an unfitted classifier, which is also scikit-learn's ``NotFittedError``."""

import sklearn.exceptions

from layerfuse.core.errors import LayerFuseError


class NotFittedError(LayerFuseError, sklearn.exceptions.NotFittedError):  # type: ignore[misc]
    """The classifier was used before ``fit``."""
