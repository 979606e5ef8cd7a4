"""The scikit-learn classifier: composes the stages and nothing else."""

from layerfuse.classifier.estimator import FusionClassifier, NotFittedError

__all__ = ["FusionClassifier", "NotFittedError"]
