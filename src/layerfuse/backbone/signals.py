"""Attention entropy and gradients of a backbone's layers, on a sample of texts in one pass."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from layerfuse.backbone.attention import AttentionHooks, eager_attention, needs_output_attentions
from layerfuse.backbone.backbone import Backbone
from layerfuse.backbone.budget import TokenBudget
from layerfuse.backbone.deberta import attention_by_distance
from layerfuse.backbone.gradients import ProbeLoss, gradient_norms
from layerfuse.backbone.ids import known_tokens, padding_id
from layerfuse.backbone.pooling import pool
from layerfuse.backbone.rotary import rotary_steps
from layerfuse.backbone.tap import BlockTap
from layerfuse.core.errors import ShapeError, check_option
from layerfuse.core.signals import LayerSignals, SignalName
from layerfuse.core.texts import as_texts

_GRAPH_BYTES = 3 * 2**26
_KEPT_STATES = 16  # states that a block keeps per token for backward; 10 to 20 in most families


def attention_entropy(
    backbone: Backbone, texts: Sequence[str], *, progress: bool = True
) -> LayerSignals:
    """Measure the relative entropy of attention at every layer.

    For each text and layer, it is the mean over heads and queries of the entropy of attention,
    divided by the logarithm of the number of keys that the query may attend to. It is 0 if every
    query attends to one key, and 1 if it attends to all equally. Padding is left out, and so are
    queries with only one key, such as the first of a decoder. A text without other queries has 0 at
    every layer.

    Parameters
    ----------
    backbone : Backbone
        Uses eager attention during the call, and is restored afterwards.
    texts : sequence of str
        A sample; truncated as in ``embed``.
    progress : bool
        Show a progress bar if standard error is a terminal.

    Returns
    -------
    LayerSignals
        Layers 1 to the deepest: the embedding output has no attention.

    Raises
    ------
    LayerError
        If a layer returns no attention weights, as in models without attention.
    DataError
        If there is no text, or one is not a string.
    OutOfMemoryError
        If memory does not suffice even for a single text.

    Source
    ------
    Gwak and Jung 2025, arXiv:2504.05764, name it as a part of layer importance; Clark et al. 2019,
    arXiv:1906.04341, section 3.
    """
    return model_signals(backbone, texts, ("attention_entropy",), progress=progress)[0]


def backbone_gradient(
    backbone: Backbone, texts: Sequence[str], loss: ProbeLoss, *, progress: bool = True
) -> LayerSignals:
    """Measure the gradient of the loss of a probe on the deepest layer at every layer.

    For each text and layer, it is the mean over tokens of ||h * dL/dh||: h is the state of the
    token at that layer, L the loss of the text, * the elementwise product, and the norm is
    Euclidean over dimensions. It shows how fast the loss changes as h shrinks towards zero.

    Parameters
    ----------
    backbone : Backbone
        Its parameters stay frozen and get no gradient.
    texts : sequence of str
        A sample; truncated as in ``embed``.
    loss : ProbeLoss
        Loss of the probe on these texts.
    progress : bool
        Show a progress bar if standard error is a terminal.

    Returns
    -------
    LayerSignals
        Layers 0 to the deepest.

    Raises
    ------
    ShapeError
        If the loss has another number of texts, or its probe another width than the backbone.
    DataError
        If there is no text, or one is not a string.
    OutOfMemoryError
        If memory does not suffice even for a single text.

    Source
    ------
    Molchanov et al. 2017, arXiv:1611.06440, equation 7, with a norm for the absolute value; Gwak
    and Jung 2025, arXiv:2504.05764, name gradient magnitude as a part of layer importance.
    """
    return model_signals(backbone, texts, ("backbone_gradient",), loss=loss, progress=progress)[0]


def model_signals(
    backbone: Backbone,
    texts: Sequence[str],
    names: Sequence[SignalName],
    *,
    loss: ProbeLoss | None = None,
    progress: bool = True,
) -> tuple[LayerSignals, ...]:
    """Compute ``attention_entropy``, ``backbone_gradient`` or both, in one forward pass.

    Parameters
    ----------
    backbone, texts, progress
        As in ``backbone_gradient``.
    names : sequence of SignalName
        Signals to compute.
    loss : ProbeLoss, optional
        Loss of the probe; needed for the gradient.

    Returns
    -------
    tuple of LayerSignals
        In the order of ``names``.

    Raises
    ------
    LayerError, ShapeError, DataError, OutOfMemoryError
        As in these two functions.
    UnknownOptionError
        If a name is unknown.
    """
    for name in names:
        check_option("signal", name, get_args(SignalName))
    texts = as_texts(texts)
    wants_gradient = "backbone_gradient" in names
    if wants_gradient:
        _check(loss, len(texts), backbone)
    tap = _SignalTap(backbone, names, loss)
    layers = tuple(range(backbone.deepest + 1))
    columns = {name: layers[1:] if name == "attention_entropy" else layers for name in names}
    values = {name: np.empty((len(texts), len(columns[name]))) for name in names}
    desc = f"{backbone.name} signals"
    with tqdm(total=len(texts), desc=desc, unit="text", disable=None if progress else True) as bar:
        for positions, measured in _run_all(backbone, texts, tap):
            for name, part in measured.items():
                values[name][positions] = part.cpu().numpy()
            bar.update(len(positions))
    return tuple(LayerSignals(name, backbone.name, columns[name], values[name]) for name in names)


def _check(loss: ProbeLoss | None, n_texts: int, backbone: Backbone) -> None:
    if loss is None:
        raise ShapeError("backbone_gradient needs the loss of a probe, got none.")
    if len(loss.classes) != n_texts:
        raise ShapeError(f"Expected a class per text, got {len(loss.classes)} for {n_texts}.")
    if len(loss.coefficients) != backbone.spec.hidden_size:
        raise ShapeError(
            f"{backbone.name} is {backbone.spec.hidden_size} wide, but the probe has coefficients "
            f"of {len(loss.coefficients)} dimensions."
        )


def _run_all(
    backbone: Backbone, texts: Sequence[str], tap: "_SignalTap"
) -> Iterator[tuple[np.ndarray, Mapping[SignalName, Tensor]]]:
    """Yield batches, longest texts first: positions, and each signal (batch, layer)."""
    backbone.check_unchanged()
    spec, pad_id = backbone.spec, padding_id(backbone.tokenizer, backbone.model)
    tokens = known_tokens(texts, backbone.tokenizer, backbone.model, spec)
    # A separate budget, because a batch may be too large for backward but not for embedding.
    budget = TokenBudget(backbone.device.type, spec.name, spec.hidden_size)
    budget.tokens = backbone.budget.tokens
    if tap.loss is not None:
        kept = 4 * _KEPT_STATES * spec.hidden_size * backbone.deepest
        budget.tokens = min(budget.tokens, max(1, _GRAPH_BYTES // max(1, kept)))
    order, steps = tokens.longest_first(), rotary_steps(backbone.model)
    start = 0
    while start < len(order):
        alike = tokens.together(order[start:], steps)
        batch = tokens.batches(alike, budget.tokens, n_cores=1)[0]
        ids, mask = tokens.padded(batch, pad_id)
        measured = budget.attempt(functools.partial(tap.run, batch, ids, mask), *ids.shape)
        if measured is not None:
            yield batch, measured
            start += len(batch)


class _SignalTap(BlockTap):
    """Reads the attention of each layer, keeps its states for the backward pass, or both."""

    def __init__(
        self, backbone: Backbone, names: Sequence[SignalName], loss: ProbeLoss | None
    ) -> None:
        super().__init__(backbone.blocks, backbone.deepest, backbone.name)
        self.model = backbone.model
        self.skip_first_token = backbone.spec.skip_first_token
        self.loss = loss if "backbone_gradient" in names else None
        self.attention = AttentionHooks(backbone.blocks) if "attention_entropy" in names else None
        self._entropies: list[Tensor] = []
        self._states: list[Tensor] = []

    def run(
        self, positions: np.ndarray, input_ids: Tensor, mask: Tensor
    ) -> Mapping[SignalName, Tensor]:
        """Return each signal (batch, layer) of the texts at some positions of the sample."""
        measured: dict[SignalName, Tensor] = {}
        input_ids, mask = input_ids.to(self.model.device), mask.to(self.model.device)
        try:
            with torch.inference_mode(mode=self.loss is None), self.blocks.turn:
                self._run_hooked(input_ids, mask)
                if self.attention is not None:
                    measured["attention_entropy"] = torch.stack(self._entropies, dim=1)
                if self.loss is not None:
                    deepest = self._states[-1]
                    mask = functional.pad(mask, (0, deepest.shape[1] - mask.shape[1]))
                    pooled = pool(
                        deepest,
                        mask,
                        self.loss.pooling,
                        skip_first_token=self.skip_first_token,
                    )
                    loss = self.loss.of(positions, pooled)
                    measured["backbone_gradient"] = gradient_norms(loss, self._states, mask)
        finally:
            self._entropies, self._states = [], []  # otherwise the graph would stay in memory
        return measured

    def _run_hooked(self, input_ids: Tensor, mask: Tensor) -> None:
        with ExitStack() as stack:
            if self.attention is not None:  # before the tap, whose hooks on a block end the layer
                stack.enter_context(eager_attention(self.model))
                stack.enter_context(self.attention.attached(mask))
            stack.enter_context(self)
            has_attention = self.attention is not None
            stack.enter_context(attention_by_distance(self.model, give_weights=has_attention))
            ask = self.attention is not None and needs_output_attentions(self.model)
            self._forward(self.model, input_ids, mask, ask_attention=ask)

    def _take(self, layer: int, hidden: Tensor) -> None:
        if self.loss is not None:
            if layer == 0:  # the graph starts here; in place, so that all readers are in it
                hidden.requires_grad_()
            self._states.append(hidden)
        if self.attention is not None and layer > 0:
            self._entropies.append(self.attention.end_layer(layer, self.name))
