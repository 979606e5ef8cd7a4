"""Fits one model per fold, for predictions of texts that the model has not seen."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from layerfuse.core.supervision import Supervision
from layerfuse.learn.learn import learn
from layerfuse.learn.model import Forward, Parameters, Schedule

Member = tuple[Parameters, np.ndarray]
"""Parameters, and the positions of the texts that they were not trained on."""


def learn_committee(
    forward: Forward,
    initial: Callable[[np.random.Generator], Parameters],
    inputs: Sequence[np.ndarray],
    supervision: Supervision,
    *,
    names: Sequence[str],
    schedule: Schedule,
) -> list[Member]:
    """Train one member per fold, on all other folds and from its own starting parameters.

    New texts are predicted by all members together, which is better than by one. A training text is
    predicted by the member that saw it neither in training nor in early stopping, so that models on
    top learn from predictions like those of new texts.

    Parameters
    ----------
    forward, inputs, names, schedule
        As in ``learn``.
    initial : callable
        Draws starting parameters from a random generator.
    supervision : Supervision
        One entry per text. The texts of a group share a fold, and are all trained on or all used
        for validation. Its ``random_state`` seeds folds, starting parameters, batches and dropout.

    Returns
    -------
    list of Member
        At most five members; each text is unseen by exactly one.

    Source
    ------
    Krogh and Vedelsby 1995, *Neural Network Ensembles, Cross Validation, and Active Learning*,
    NIPS 7; out-of-fold predictions as inputs: Wolpert 1992, *Stacked Generalization*, Neural
    Networks 5.
    """
    members = []
    for i, (train, held_out) in enumerate(supervision.folds()):
        training = replace(supervision.part(train), random_state=supervision.random_state + i)
        learned = learn(
            forward,
            initial(np.random.default_rng((supervision.random_state, i))),
            [one[train] for one in inputs],
            training,
            names=names,
            schedule=schedule,
        )
        members.append((learned.parameters, held_out))
    return members
