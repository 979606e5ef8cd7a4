"""What a backbone itself tells of its layers, gathered on a sample of texts in one pass."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from layerfuse.backbone.attention import AttentionEar, eager_attention, must_be_asked
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
_KEPT_STATES = 16  # what a block keeps for the way back, in token states; 10 to 20 in most families


def attention_entropy(
    backbone: Backbone, texts: Sequence[str], *, progress: bool = True
) -> LayerSignals:
    """Measure how widely the attention of every layer is spread.

    For each text and layer the mean over heads and queries of the entropy of attention divided by
    the logarithm of the number of keys the query may look at: in 0 .. 1, 0 where every query looks
    at one key, 1 where it looks at all alike. Padding is left out, and queries that see one key
    only, such as the first of a decoder; a text that has no others counts 0 at every layer.

    Parameters
    ----------
    backbone : Backbone
        Computes attention step by step meanwhile; as it was, afterwards.
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
        If a layer gives no attention weights, as in models without attention.
    DataError
        If there is no text, or one is no string.
    OutOfMemoryError
        If memory does not suffice for one text alone.

    Source
    ------
    Gwak and Jung 2025, arXiv:2504.05764, name it as a part of layer importance; Clark et al. 2019,
    arXiv:1906.04341, section 3.
    """
    return model_signals(backbone, texts, ("attention_entropy",), progress=progress)[0]


def backbone_gradient(
    backbone: Backbone, texts: Sequence[str], loss: ProbeLoss, *, progress: bool = True
) -> LayerSignals:
    """Measure how strongly the loss of a probe on the deepest layer pulls at every layer.

    For each text and layer the mean over tokens of ||h * dL/dh||: h is the state of the token at
    that layer, L the loss of the text, * the elementwise product, and the norm is Euclidean over
    dimensions. It tells how fast the loss moves as h shrinks towards zero.

    Parameters
    ----------
    backbone : Backbone
        Its parameters stay frozen and get no gradient.
    texts : sequence of str
        A sample; truncated as in ``embed``.
    loss : ProbeLoss
        Of these texts.
    progress : bool
        Show a progress bar if standard error is a terminal.

    Returns
    -------
    LayerSignals
        Layers 0 to the deepest.

    Raises
    ------
    ShapeError
        If the loss is not of so many texts, or its probe not as wide as the backbone.
    DataError
        If there is no text, or one is no string.
    OutOfMemoryError
        If memory does not suffice for one text alone.

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
    """Gather ``attention_entropy``, ``backbone_gradient`` or both, in one forward pass.

    Parameters
    ----------
    backbone, texts, progress
        As in ``backbone_gradient``.
    names : sequence of SignalName
        What to gather.
    loss : ProbeLoss, optional
        For the gradient.

    Returns
    -------
    tuple of LayerSignals
        In the order of ``names``.

    Raises
    ------
    LayerError, ShapeError, DataError, OutOfMemoryError
        As in the two.
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
    """Yield positions of some texts, longest first, and each signal of theirs (batch, layer)."""
    backbone.check_unchanged()
    spec, pad_id = backbone.spec, padding_id(backbone.tokenizer, backbone.model)
    tokens = known_tokens(texts, backbone.tokenizer, backbone.model, spec)
    # Of its own: what is too much for the way back is not for embedding.
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
    """Hears the attention of each layer, and keeps its states for the way back, as wanted."""

    def __init__(
        self, backbone: Backbone, names: Sequence[SignalName], loss: ProbeLoss | None
    ) -> None:
        super().__init__(backbone.blocks, backbone.deepest, backbone.name)
        self.model = backbone.model
        self.skip_first_token = backbone.spec.skip_first_token
        self.loss = loss if "backbone_gradient" in names else None
        self.ear = AttentionEar(backbone.blocks) if "attention_entropy" in names else None
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
                self._listen(input_ids, mask)
                if self.ear is not None:
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
            self._entropies, self._states = [], []  # a graph left behind would fill the memory
        return measured

    def _listen(self, input_ids: Tensor, mask: Tensor) -> None:
        with ExitStack() as stack:
            if self.ear is not None:  # before the tap: its hooks on a block end the layer
                stack.enter_context(eager_attention(self.model))
                stack.enter_context(self.ear.hearing(mask))
            stack.enter_context(self)
            hears = self.ear is not None
            stack.enter_context(attention_by_distance(self.model, give_weights=hears))
            asks = self.ear is not None and must_be_asked(self.model)
            self._forward(self.model, input_ids, mask, ask_attention=asks)

    def _take(self, layer: int, hidden: Tensor) -> None:
        if self.loss is not None:
            if layer == 0:  # in place, for whatever else reads it: the graph starts here
                hidden.requires_grad_()
            self._states.append(hidden)
        if self.ear is not None and layer > 0:
            self._entropies.append(self.ear.end_layer(layer, self.name))
