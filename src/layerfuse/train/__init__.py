"""Fused vectors and labels to a head, validated on the training texts only."""

from layerfuse.train.fit import HeadChoice, class_weights, fit_head
from layerfuse.train.head import HeadCandidate, HeadName, LinearHead

__all__ = ["HeadCandidate", "HeadChoice", "HeadName", "LinearHead", "class_weights", "fit_head"]
