"""The only training loop: mini-batches, AdamW, early stopping. Only this module imports torch."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from layerfuse.core.errors import FeatureError
from layerfuse.core.folds import class_of_each_group
from layerfuse.core.sample import sample_texts
from layerfuse.core.supervision import Supervision
from layerfuse.learn.model import Forward, Learned, Parameters, Schedule

_VALIDATION_SHARE = 0.1  # of the texts, or of their groups
_VALIDATION_BATCH = 4096  # texts; larger than in training, because no gradients are kept
_LEAST_BATCH = 16  # texts; smaller ones give gradients of mostly noise
_LEAST_STEPS = 8  # in an epoch, unless batches would be too small


class TorchNoise:
    """Dropout masks from their own generator, so that no global seed is used."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def keep(self, shape: Sequence[int], share: float) -> torch.Tensor:
        """Return zeros and ones of a shape; each is 1 with probability ``share``."""
        return (torch.rand(tuple(shape), generator=self._generator) < share).float()


def minimise(
    forward: Forward,
    initial: Parameters,
    inputs: Sequence[np.ndarray],
    supervision: Supervision,
    *,
    names: Sequence[str],
    schedule: Schedule,
    epoch_done: Callable[[], object],
) -> Learned:
    """Train as ``learn`` describes."""
    labels, weights = supervision.labels, supervision.weights
    generator = torch.Generator().manual_seed(supervision.random_state)
    noise = TorchNoise(generator)
    parameters = {k: torch.tensor(v, requires_grad=True) for k, v in initial.items()}
    decayed = [p for p in parameters.values() if p.ndim > 1]
    free = [p for p in parameters.values() if p.ndim <= 1]
    kinds = [
        {"params": decayed, "weight_decay": schedule.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(
        [k for k in kinds if k["params"]], lr=schedule.learning_rate, fused=True
    )
    train, validation = _split(supervision, _VALIDATION_SHARE)
    n_batches = _batches(len(train), schedule.batch_texts)

    def loss_of(rows: np.ndarray, dropout: TorchNoise | None) -> torch.Tensor:
        batch = [torch.from_numpy(one[rows]) for one in inputs]
        logits = forward(torch, parameters, batch, dropout)
        losses = torch.nn.functional.cross_entropy(
            logits, torch.from_numpy(labels[rows].astype(np.int64)), reduction="none"
        )
        return losses @ torch.from_numpy(weights[rows]).to(losses.dtype)

    def validation_loss() -> float:
        with torch.no_grad():
            parts = [
                float(loss_of(validation[start : start + _VALIDATION_BATCH], None))
                for start in range(0, len(validation), _VALIDATION_BATCH)
            ]
        return _finite(math.fsum(parts) / float(weights[validation].sum()), inputs, names)

    losses = [validation_loss()]
    best = {k: v.detach().clone() for k, v in parameters.items()}
    for _ in range(schedule.max_epochs):
        order = train[torch.randperm(len(train), generator=generator).numpy()]
        for rows in np.array_split(order, n_batches):
            loss = loss_of(rows, noise) / float(weights[rows].sum())
            _finite(float(loss.detach()), inputs, names)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        epoch_done()
        losses.append(validation_loss())
        if losses[-1] < min(losses[:-1]):
            best = {k: v.detach().clone() for k, v in parameters.items()}
        elif len(losses) - 1 - int(np.argmin(losses)) >= schedule.patience:
            break
    return Learned({k: v.numpy() for k, v in best.items()}, tuple(losses))


def _batches(n_texts: int, batch_texts: int) -> int:
    """Return the number of equal batches in an epoch.

    Patience and the number of epochs count epochs. If few texts made one batch, an epoch would be
    one small step, and learning would stop long before the optimum, or at the start.
    """
    return max(-(-n_texts // batch_texts), min(_LEAST_STEPS, n_texts // _LEAST_BATCH))


def _split(supervision: Supervision, validation_share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return positions to train on, which include every class, and positions for validation."""
    labels, groups = supervision.labels, supervision.groups
    # Group numbers may have gaps, because these may be only part of the texts.
    groups = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    classes = class_of_each_group(labels, groups)
    n_validation = max(1, round(validation_share * len(classes)))
    n_train = max(len(classes) - n_validation, len(np.unique(classes)))
    trained = np.isin(groups, sample_texts(classes, n_train, supervision.random_state))
    trained |= ~np.isin(labels, labels[trained])  # classes that only held-out groups have
    train, validation = np.flatnonzero(trained), np.flatnonzero(~trained)
    return train, validation if len(validation) else train


def _finite(loss: float, inputs: Sequence[np.ndarray], names: Sequence[str]) -> float:
    if math.isfinite(loss):
        return loss
    sizes = [float(np.abs(one).max(initial=0)) for one in inputs]
    worst = int(np.argmax([math.inf if math.isnan(size) else size for size in sizes]))
    raise FeatureError(
        f"Training stopped: the loss became {loss}. The largest values come from {names[worst]}, "
        f"up to {sizes[worst]:.3g}. Leave it out, or check its embeddings."
    )
