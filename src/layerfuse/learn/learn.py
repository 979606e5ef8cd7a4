"""``learn``: parameters that make labels likely, found by gradient."""

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from layerfuse.core.errors import ShapeError
from layerfuse.core.supervision import Supervision
from layerfuse.learn.model import Forward, Learned, Parameters, Schedule


def learn(
    forward: Forward,
    initial: Parameters,
    inputs: Sequence[np.ndarray],
    supervision: Supervision,
    *,
    names: Sequence[str],
    schedule: Schedule,
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
    supervision : Supervision
        Of the texts. Those of one group all learn or all judge, unless a class would be judged
        only. Its ``random_state`` draws the held-out texts, batches and dropout, from generators of
        its own; its ``progress`` shows a bar of epochs.
    names : sequence of str
        What each input is, for the message of a loss that is no number.
    schedule : Schedule
        How it goes.

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
    lengths = [len(supervision.labels), len(supervision.weights), *map(len, inputs)]
    if len(set(lengths)) != 1 or len(names) != len(inputs):
        raise ShapeError(f"Expected named inputs, labels and weights of equal length: {lengths}.")
    from layerfuse.learn.loop import minimise  # noqa: PLC0415 - torch only where something learns

    hidden = None if supervision.progress else True
    with tqdm(total=schedule.max_epochs, unit="epoch", disable=hidden, leave=False) as bar:
        return minimise(
            forward,
            initial,
            inputs,
            supervision,
            names=names,
            schedule=schedule,
            epoch_done=bar.update,
        )
