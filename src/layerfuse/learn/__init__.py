"""Training by gradient, for fusions and heads. torch is imported only when training starts."""

from layerfuse.learn.committee import Member, learn_committee
from layerfuse.learn.learn import learn
from layerfuse.learn.model import Forward, Learned, Noise, Parameters, Schedule

__all__ = [
    "Forward",
    "Learned",
    "Member",
    "Noise",
    "Parameters",
    "Schedule",
    "learn",
    "learn_committee",
]
