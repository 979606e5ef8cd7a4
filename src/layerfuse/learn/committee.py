"""Several fits of one model, each on other folds: what one says of a text it did not see."""

from collections.abc import Callable, Sequence

import numpy as np

from layerfuse.core.arrays import ClassIndices, PerText
from layerfuse.core.folds import stratified_folds
from layerfuse.learn.learn import learn
from layerfuse.learn.model import Forward, Parameters, Schedule

Member = tuple[Parameters, np.ndarray]
"""Parameters, and the positions of the texts that these have not seen."""


def learn_committee(
    forward: Forward,
    initial: Callable[[np.random.Generator], Parameters],
    inputs: Sequence[np.ndarray],
    labels: ClassIndices,
    weights: PerText,
    *,
    names: Sequence[str],
    schedule: Schedule,
    random_state: int,
    progress: bool = False,
    groups: np.ndarray | None = None,
) -> list[Member]:
    """Learn once per fold, from other folds and another start each time.

    The members together predict new texts, better than one of them; each predicts the texts of its
    own fold, which it saw neither in training nor in stopping, so that what is built on top learns
    from predictions as they will be.

    Parameters
    ----------
    forward, inputs, labels, weights, names, schedule, progress
        As in ``learn``.
    initial : callable
        From a generator of random numbers to parameters to start from.
    random_state : int
        Draws folds, starts, batches and dropout.
    groups : int array of shape (text,), optional
        Texts that repeat each other, from ``separable_groups``: they stay in one fold, and where
        they train judge together or not at all. Default: none do.

    Returns
    -------
    list of Member
        At most five; every text is in exactly one fold.

    Source
    ------
    Krogh and Vedelsby 1995, *Neural Network Ensembles, Cross Validation, and Active Learning*,
    NIPS 7; out-of-fold predictions as inputs: Wolpert 1992, *Stacked Generalization*, Neural
    Networks 5.
    """
    members = []
    for i, (train, rest) in enumerate(stratified_folds(labels, random_state, groups)):
        learned = learn(
            forward,
            initial(np.random.default_rng((random_state, i))),
            [one[train] for one in inputs],
            labels[train],
            weights[train],
            names=names,
            schedule=schedule,
            random_state=random_state + i,
            progress=progress,
            groups=None if groups is None else groups[train],
        )
        members.append((learned.parameters, rest))
    return members
