"""``unbiased_hsic``: the dependence between two kernels of the same texts."""

import numpy as np

from layerfuse.core.arrays import Kernel

HSIC_MINIMUM = 4
"""Smallest number of texts for which the unbiased estimate exists."""


def unbiased_hsic(one: Kernel, two: Kernel) -> float:
    """Return n (n - 3) times the unbiased estimate of HSIC of two kernels of the same n texts.

    The diagonals are left out: a text's product with itself carries no shared information.

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
