"""Several fits of one model, each on other folds: what one says of a text it did not see."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from layerfuse.core.supervision import Supervision
from layerfuse.learn.learn import learn
from layerfuse.learn.model import Forward, Parameters, Schedule

Member = tuple[Parameters, np.ndarray]
"""Parameters, and the positions of the texts that these have not seen."""


def learn_committee(
    forward: Forward,
    initial: Callable[[np.random.Generator], Parameters],
    inputs: Sequence[np.ndarray],
    supervision: Supervision,
    *,
    names: Sequence[str],
    schedule: Schedule,
) -> list[Member]:
    """Learn once per fold, from other folds and another start each time.

    The members together predict new texts, better than one of them; each predicts the texts of its
    own fold, which it saw neither in training nor in stopping, so that what is built on top learns
    from predictions as they will be.

    Parameters
    ----------
    forward, inputs, names, schedule
        As in ``learn``.
    initial : callable
        From a generator of random numbers to parameters to start from.
    supervision : Supervision
        Of the texts. Those of one group stay in one fold, and where they train judge together or
        not at all. Its ``random_state`` draws folds, starts, batches and dropout.

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
    for i, (train, rest) in enumerate(supervision.folds()):
        known = replace(supervision.part(train), random_state=supervision.random_state + i)
        learned = learn(
            forward,
            initial(np.random.default_rng((supervision.random_state, i))),
            [one[train] for one in inputs],
            known,
            names=names,
            schedule=schedule,
        )
        members.append((learned.parameters, rest))
    return members
