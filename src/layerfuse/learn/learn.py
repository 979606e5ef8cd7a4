"""``learn``: fits parameters to labels by gradient descent."""

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
    """Minimise the weighted mean log loss with early stopping.

    A stratified tenth of the texts is held out for validation. The parameters of the epoch with the
    lowest validation loss are kept; these may be the starting ones. The only text of a class is
    trained on. If no text can be held out, all texts are used for training and validation.

    Parameters
    ----------
    forward : Forward
        Computes logits (text, class) from parameters and inputs.
    initial : Parameters
        Starting parameters; float32.
    inputs : sequence of float32 arrays
        Text axis first.
    supervision : Supervision
        One entry per text. The texts of a group are all trained on or all held out, unless a class
        would then have no text to train on. Its ``random_state`` seeds the held-out texts, batches
        and dropout, without global state; its ``progress`` shows a bar of epochs.
    names : sequence of str
        Name of each input, for the error if the loss is not finite.
    schedule : Schedule
        Settings of the training loop.

    Returns
    -------
    Learned
        Equal for equal arguments, machine and number of threads.

    Raises
    ------
    FeatureError
        If the loss is not finite; names the input with the largest values.
    ShapeError
        If inputs, labels and weights differ in length, or there is not one name per input.

    Source
    ------
    AdamW: Loshchilov and Hutter 2019, arXiv:1711.05101. Early stopping: Prechelt 1998, *Early
    Stopping - But When?*.
    """
    lengths = [len(supervision.labels), len(supervision.weights), *map(len, inputs)]
    if len(set(lengths)) != 1 or len(names) != len(inputs):
        raise ShapeError(
            "Expected a name per input, and labels, weights and inputs of equal length; got "
            f"{len(names)} names and lengths {lengths}."
        )
    from layerfuse.learn.loop import minimise  # noqa: PLC0415 - imports torch

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
