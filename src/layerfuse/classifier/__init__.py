"""The scikit-learn classifier: composes the stages and nothing else."""

from layerfuse.classifier.estimator import FusionClassifier, NotFittedError
from layerfuse.classifier.signals import gather_signals

__all__ = ["FusionClassifier", "NotFittedError", "gather_signals"]
