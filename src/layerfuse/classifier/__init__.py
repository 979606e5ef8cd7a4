"""The scikit-learn classifier: composes the stages and nothing else."""

from layerfuse.classifier.choice import choose_layers
from layerfuse.classifier.estimator import FusionClassifier, NotFittedError
from layerfuse.classifier.gates import TextGates
from layerfuse.classifier.signals import gather_signals

__all__ = ["FusionClassifier", "NotFittedError", "TextGates", "choose_layers", "gather_signals"]
