"""Fit heads on fused vectors and texts, validated on the training texts only."""

from layerfuse.train.fit import HeadChoice, class_weights, fit_head
from layerfuse.train.head import Head, HeadCandidate, HeadName, LinearHead
from layerfuse.train.lexical import LexicalHead, fit_lexical
from layerfuse.train.mlp import MLPHead
from layerfuse.train.pooled import LexicalChoice, PooledHead, Words, fit_words, join_words
from layerfuse.train.repeats import repeat_groups

__all__ = [
    "Head",
    "HeadCandidate",
    "HeadChoice",
    "HeadName",
    "LexicalChoice",
    "LexicalHead",
    "LinearHead",
    "MLPHead",
    "PooledHead",
    "Words",
    "class_weights",
    "fit_head",
    "fit_lexical",
    "fit_words",
    "join_words",
    "repeat_groups",
]
