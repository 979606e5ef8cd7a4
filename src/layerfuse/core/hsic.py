"""``unbiased_hsic``: how much two kernels of the same texts share."""

import numpy as np

from layerfuse.core.arrays import Kernel

HSIC_MINIMUM = 4
"""Texts; of fewer nothing is left when the diagonal is left out."""


def unbiased_hsic(one: Kernel, two: Kernel) -> float:
    """Return n (n - 3) times the unbiased estimate of HSIC of two kernels of the same n texts.

    A text with itself says nothing of what two layers share, so the diagonals are left out.

    Source
    ------
    Song et al. 2012, JMLR 13, equation 5.
    """
    n = len(one)
    first, second = np.diag(one), np.diag(two)
    sums_one = one.sum(1, dtype=np.float64) - first
    sums_two = two.sum(1, dtype=np.float64) - second
    shared = float(np.vdot(one, two)) - float(first @ second)
    both = float(sums_one.sum()) * float(sums_two.sum()) / ((n - 1) * (n - 2))
    return shared + both - 2.0 / (n - 2) * float(sums_one @ sums_two)
