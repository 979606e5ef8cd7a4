"""``learn``: parameters that make labels likely, found by gradient."""

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from layerfuse.core.arrays import ClassIndices, PerText
from layerfuse.core.errors import ShapeError
from layerfuse.learn.model import Forward, Learned, Parameters, Schedule


def learn(
    forward: Forward,
    initial: Parameters,
    inputs: Sequence[np.ndarray],
    labels: ClassIndices,
    weights: PerText,
    *,
    names: Sequence[str],
    schedule: Schedule,
    random_state: int,
    progress: bool = False,
    groups: np.ndarray | None = None,
) -> Learned:
    """Minimise the weighted mean log loss, and stop where held-out texts say so.

    A stratified share of the texts only judges; the parameters of the epoch that they liked best
    are kept, the start included. Where a class has one text, it is trained on; where every class
    has, all texts do both.

    Parameters
    ----------
    forward : Forward
        From parameters and inputs to logits (text, class).
    initial : Parameters
        Where to start; float32.
    inputs : sequence of float32 arrays
        Text axis first.
    labels : int array of shape (text,)
        Class indices.
    weights : array of shape (text,)
        Weight of each text, positive.
    names : sequence of str
        What each input is, for the message of a loss that is no number.
    schedule : Schedule
        How it goes.
    random_state : int
        Draws the held-out texts, batches and dropout, from generators of its own.
    progress : bool
        Show a bar of epochs if standard error is a terminal.
    groups : int array of shape (text,), optional
        Texts that repeat each other: all of them learn or all judge, unless a class would be judged
        only. Default: none do.

    Returns
    -------
    Learned
        The same again for the same arguments, machine and number of threads.

    Raises
    ------
    FeatureError
        If the loss is not finite: it names the input with the largest values.
    ShapeError
        If inputs, labels and weights are not of the same texts, or not named.

    Source
    ------
    AdamW: Loshchilov and Hutter 2019, arXiv:1711.05101. Early stopping: Prechelt 1998, *Early
    Stopping - But When?*.
    """
    lengths = [len(labels), len(weights), *map(len, inputs)]
    if len(set(lengths)) != 1 or len(names) != len(inputs):
        raise ShapeError(f"Expected named inputs, labels and weights of equal length: {lengths}.")
    from layerfuse.learn.loop import minimise  # noqa: PLC0415 - torch only where something learns

    hidden = None if progress else True
    with tqdm(total=schedule.max_epochs, unit="epoch", disable=hidden, leave=False) as bar:
        return minimise(
            forward,
            initial,
            inputs,
            labels,
            weights,
            names=names,
            schedule=schedule,
            random_state=random_state,
            groups=groups,
            epoch_done=bar.update,
        )
