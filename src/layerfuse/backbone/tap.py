"""Hooks on the blocks of a model that use each layer at once, and stop after the deepest."""

import threading
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from layerfuse.backbone.blocks import Blocks
from layerfuse.backbone.pooling import pool
from layerfuse.core.arrays import LayerArray
from layerfuse.core.errors import LayerError
from layerfuse.core.layers import LayerRef


class _DeepestLayerReached(Exception):  # noqa: N818 - control flow, not an error
    """Ends the forward pass after the deepest requested layer."""


class BlockTap(ABC):
    """Hooks on the blocks that pass on the token states of each layer as soon as they exist.

    ``output_hidden_states`` is not used: it keeps the states of all layers in memory, its list form
    differs between releases, and its last entry is after the final norm in many decoders.

    Parameters
    ----------
    blocks : Blocks
        Blocks to hook.
    deepest : int
        Deepest requested layer; nothing after it runs.
    name : str
        Name of the backbone, for messages.
    """

    def __init__(self, blocks: Blocks, deepest: int, name: str) -> None:
        self.blocks = blocks
        self.deepest = deepest
        self.name = name
        self._handles: list[RemovableHandle] = []
        self._here = threading.local()  # batches may run in parallel, each in its own thread

    def __enter__(self) -> "BlockTap":
        first = self.blocks.container[0]
        self._handles = [first.register_forward_pre_hook(self._before_block, with_kwargs=True)]
        self._handles += [m.register_forward_hook(self._after_block) for m in self.blocks.outputs]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    @abstractmethod
    def _take(self, layer: int, hidden: Tensor) -> None:
        """Receive the (batch, token, hidden) states of a layer; the model may have padded them."""

    def _forward(
        self, model: nn.Module, input_ids: Tensor, mask: Tensor, *, ask_attention: bool = False
    ) -> None:
        """Run one batch up to the deepest layer.

        Raises
        ------
        LayerError
            If the model ran fewer blocks than its configuration states, or a block does not return
            states (batch, token, hidden).
        """
        self._here.layer, self._here.shape = 0, tuple(mask.shape)
        options = _no_cache(model) | ({"output_attentions": True} if ask_attention else {})
        try:
            model(input_ids=input_ids, attention_mask=mask, **options)
        except _DeepestLayerReached:
            return
        raise LayerError(
            f"{self.name} ended after layer {self._here.layer}, expected layer {self.deepest}. "
            "Specify its block list with blocks=..."
        )

    def _before_block(
        self, _block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if self._here.layer == 0:  # a shared block is called again for every layer
            self._hand_over(args[0] if args else kwargs["hidden_states"])

    def _after_block(self, _block: nn.Module, _args: object, output: Any) -> None:
        self._here.layer += 1
        self._hand_over(output[0] if isinstance(output, tuple) else output)

    def _hand_over(self, hidden: Tensor) -> None:
        batch, n_tokens = self._here.shape
        # Some families, such as Longformer, pad tokens to a multiple of their window.
        if hidden.ndim != 3 or len(hidden) != batch or hidden.shape[1] < n_tokens:  # noqa: PLR2004
            raise LayerError(
                f"{self.name}: layer {self._here.layer} has states of shape "
                f"{tuple(hidden.shape)}, expected (batch, token, hidden) = ({batch}, {n_tokens}, "
                "any). Models with another layout are not supported."
            )
        self._take(self._here.layer, hidden)
        if self._here.layer == self.deepest:
            raise _DeepestLayerReached


class LayerTap(BlockTap):
    """Pools each requested layer as soon as it exists.

    Parameters
    ----------
    blocks : Blocks
        Blocks to hook.
    refs : tuple of LayerRef
        Rows of the result, in order.
    skip_first_token : bool
        Leave the first token out of poolings over all tokens.
    """

    def __init__(
        self, blocks: Blocks, refs: tuple[LayerRef, ...], *, skip_first_token: bool = False
    ) -> None:
        super().__init__(blocks, max(ref.layer for ref in refs), refs[0].backbone)
        self.refs = refs
        self.skip_first_token = skip_first_token
        self._rows: dict[int, list[int]] = {
            layer: [i for i, ref in enumerate(refs) if ref.layer == layer]
            for layer in {ref.layer for ref in refs}
        }

    def run(self, model: nn.Module, input_ids: Tensor, mask: Tensor) -> LayerArray:
        """Run one batch up to the deepest requested layer.

        Parameters
        ----------
        model : nn.Module
            The model whose blocks these are.
        input_ids : Tensor of shape (batch, token)
            Token ids, padded.
        mask : Tensor of shape (batch, token)
            1 where there is a token, 0 where there is padding.

        Returns
        -------
        float32 array of shape (row, batch, hidden)
            One row per ref.

        Raises
        ------
        LayerError
            If the model ran fewer blocks than its configuration states.
        """
        self._here.mask = mask
        self._here.pooled = torch.empty(0)
        self._forward(model, input_ids, mask)
        pooled: LayerArray = self._here.pooled.cpu().numpy()
        self._here.pooled = torch.empty(0)
        return pooled

    def _take(self, layer: int, hidden: Tensor) -> None:
        if self._here.pooled.numel() == 0:
            shape = (len(self.refs), hidden.shape[0], hidden.shape[-1])
            self._here.pooled = torch.empty(shape, dtype=torch.float32, device=hidden.device)
        mask = self._here.mask
        states = hidden[:, : mask.shape[1]]
        for row in self._rows.get(layer, ()):
            pooling, skip = self.refs[row].pooling, self.skip_first_token
            self._here.pooled[row] = pool(states, mask, pooling, skip_first_token=skip)


def _no_cache(model: nn.Module) -> dict[str, bool]:
    """Return the option that stops decoders from filling an unused key-value cache."""
    config: Any = model.config
    return {"use_cache": False} if getattr(config, "use_cache", None) is not None else {}
