"""The one training loop: mini-batches, AdamW, early stopping; all that knows torch here."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from layerfuse.core.errors import FeatureError
from layerfuse.core.folds import class_of_each_group
from layerfuse.core.sample import sample_texts
from layerfuse.core.supervision import Supervision
from layerfuse.learn.model import Forward, Learned, Parameters, Schedule

_JUDGING_SHARE = 0.1  # of the texts, or groups: they learn nothing
_JUDGED_TEXTS = 4096  # in one batch, where no gradients are kept


class TorchNoise:
    """Zeros and ones from a generator of its own, so that no global seed is touched."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def keep(self, shape: Sequence[int], share: float) -> torch.Tensor:
        """Return zeros and ones of a shape; a share of them, on average, is 1."""
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
    """Do what ``learn`` says."""
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
    optimiser = torch.optim.AdamW([k for k in kinds if k["params"]], lr=schedule.learning_rate)
    train, judges = _split(supervision, _JUDGING_SHARE)

    def loss_of(rows: np.ndarray, drops: TorchNoise | None) -> torch.Tensor:
        batch = [torch.from_numpy(one[rows]) for one in inputs]
        logits = forward(torch, parameters, batch, drops)
        losses = torch.nn.functional.cross_entropy(
            logits, torch.from_numpy(labels[rows].astype(np.int64)), reduction="none"
        )
        return losses @ torch.from_numpy(weights[rows]).to(losses.dtype)

    def judged() -> float:
        with torch.no_grad():
            parts = [
                float(loss_of(judges[start : start + _JUDGED_TEXTS], None))
                for start in range(0, len(judges), _JUDGED_TEXTS)
            ]
        return _finite(math.fsum(parts) / float(weights[judges].sum()), inputs, names)

    losses = [judged()]
    best = {k: v.detach().clone() for k, v in parameters.items()}
    for _ in range(schedule.max_epochs):
        order = train[torch.randperm(len(train), generator=generator).numpy()]
        for start in range(0, len(order), schedule.batch_texts):
            rows = order[start : start + schedule.batch_texts]
            loss = loss_of(rows, noise) / float(weights[rows].sum())
            _finite(float(loss.detach()), inputs, names)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        epoch_done()
        losses.append(judged())
        if losses[-1] < min(losses[:-1]):
            best = {k: v.detach().clone() for k, v in parameters.items()}
        elif len(losses) - 1 - int(np.argmin(losses)) >= schedule.patience:
            break
    return Learned({k: v.numpy() for k, v in best.items()}, tuple(losses))


def _split(supervision: Supervision, judging_share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return positions to train on, with every class, and others to judge by."""
    labels, groups = supervision.labels, supervision.groups
    # Of some texts only, so that numbers may be missing.
    groups = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    classes = class_of_each_group(labels, groups)
    n_judges = max(1, round(judging_share * len(classes)))
    n_train = max(len(classes) - n_judges, len(np.unique(classes)))
    trained = np.isin(groups, sample_texts(classes, n_train, supervision.random_state))
    trained |= ~np.isin(labels, labels[trained])  # a class that stands in judging groups only
    train, judges = np.flatnonzero(trained), np.flatnonzero(~trained)
    return train, judges if len(judges) else train


def _finite(loss: float, inputs: Sequence[np.ndarray], names: Sequence[str]) -> float:
    if math.isfinite(loss):
        return loss
    sizes = [float(np.abs(one).max(initial=0)) for one in inputs]
    worst = int(np.argmax([math.inf if math.isnan(size) else size for size in sizes]))
    raise FeatureError(
        f"Learning stopped: the loss became {loss}. The largest values come from {names[worst]}, "
        f"up to {sizes[worst]:.3g}. Leave it out, or look at its embeddings."
    )
