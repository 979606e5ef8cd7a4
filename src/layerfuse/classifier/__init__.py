"""The scikit-learn classifier, which only composes the stages."""

from layerfuse.classifier.choice import choose_layers
from layerfuse.classifier.errors import NotFittedError
from layerfuse.classifier.estimator import FusionClassifier
from layerfuse.classifier.gates import TextGates
from layerfuse.classifier.signals import gather_signals

__all__ = ["FusionClassifier", "NotFittedError", "TextGates", "choose_layers", "gather_signals"]
