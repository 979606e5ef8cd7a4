"""Fused vectors, texts and labels to a head, validated on the training texts only."""

from layerfuse.train.fit import HeadChoice, class_weights, fit_head
from layerfuse.train.head import HeadCandidate, HeadName, LinearHead
from layerfuse.train.lexical import LexicalHead, fit_lexical
from layerfuse.train.pooled import LexicalChoice, PooledHead, fit_pooled_head, join_words

__all__ = [
    "HeadCandidate",
    "HeadChoice",
    "HeadName",
    "LexicalChoice",
    "LexicalHead",
    "LinearHead",
    "PooledHead",
    "class_weights",
    "fit_head",
    "fit_lexical",
    "fit_pooled_head",
    "join_words",
]
