"""``Backbone``: a frozen transformer that embeds texts at all of its layers in one pass."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from layerfuse.backbone.bars import no_bars
from layerfuse.backbone.blocks import Blocks
from layerfuse.backbone.budget import TokenBudget
from layerfuse.backbone.cut import copy_structure, cut_model
from layerfuse.backbone.embed import embed_batches
from layerfuse.backbone.kernels import KernelName, fastest_kernel
from layerfuse.backbone.mapped import check_files
from layerfuse.backbone.parts import load_parts
from layerfuse.backbone.prompt import Prompt, warn_of_default_prompt
from layerfuse.backbone.saved import SavedBackbone, load_saved
from layerfuse.backbone.source import find_source, lasting
from layerfuse.backbone.unchanged import check_tokenizer, tokenizer_settings
from layerfuse.backbone.wanted import Refs, check_refs, wanted_refs
from layerfuse.backbone.write import write_model
from layerfuse.core.arrays import LayerArray
from layerfuse.core.errors import as_integer, check_option
from layerfuse.core.layers import LayerEmbeddings, LayerRef, Pooling
from layerfuse.core.spec import DTYPES, BackboneSpec, Dtype
from layerfuse.core.texts import as_list, as_stream


class Backbone:
    """A frozen transformer with its tokenizer and pooling.

    Create one with ``from_pretrained``; the constructor takes loaded parts.

    Parameters
    ----------
    model : PreTrainedModel
        Frozen, in evaluation mode.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer, which must not be changed, because its digest is part of the spec.
    blocks : Blocks
        Its block list.
    spec : BackboneSpec
        Every setting that changes the outputs.
    deepest : int
        Deepest available layer; less than ``spec.n_layers`` for a cut backbone.
    origin : str
        Argument of ``from_pretrained``, paths made absolute, to load the same backbone again.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        blocks: Blocks,
        spec: BackboneSpec,
        *,
        deepest: int,
        origin: str,
    ) -> None:
        self.model, self.tokenizer, self.blocks = model, tokenizer, blocks
        self.spec, self.deepest, self.origin = spec, deepest, origin
        self._settings = tokenizer_settings(tokenizer)
        self.budget = TokenBudget(self.device.type, spec.name, spec.hidden_size)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        revision: str | None = None,
        pooling: Pooling | Sequence[Pooling] | None = None,
        max_tokens: int | None = None,
        dtype: Dtype = "float32",
        device: str | None = None,
        prompt: str = "",
        skip_first_token: bool = False,
        trust_remote_code: bool = False,
        offline: bool = False,
        blocks: str | None = None,
        name: str | None = None,
    ) -> "Backbone":
        """Load a backbone from a local folder or ``.gguf`` file, a package, or the hub.

        Parameters
        ----------
        name_or_path : str or Path
            Searched in this order: local folder or file; packaged model; hub id.
        revision : str, optional
            Branch, tag or commit on the hub.
        pooling : Pooling or sequence of Pooling, optional
            All in one pass. Default: ``mean``, with ``last`` (decoders) or ``first`` (encoders).
        max_tokens : int, optional
            Longer texts are truncated, on the tokenizer's side. Default: its limit, at most 512.
        dtype : Dtype
            Precision of weights and forward pass.
        device : str, optional
            Such as ``cpu`` or ``cuda:0``. Default: a GPU if there is one.
        prompt : str
            Put before every text, or around it if it contains ``{text}``; it is never truncated.
        skip_first_token : bool
            Leave the first token, an attention sink in decoders, out of both means and ``max``.
        trust_remote_code : bool
            Allow Python code that comes with the model to run.
        offline : bool
            Do not use the network.
        blocks : str, optional
            Attribute path of the block list, if it cannot be found automatically.
        name : str, optional
            Name for layers and tables.

        Returns
        -------
        Backbone
            Frozen, ready to embed.

        Raises
        ------
        BackboneLoadError
            If the backbone is not found or incomplete, its blocks are not found, the prompt leaves
            no room for text, the model does not run, or padding changes its outputs.
        DownloadError
            If a packaged model cannot be downloaded.
        UnknownOptionError
            If dtype or a pooling is unknown, or the prompt has a placeholder other than ``{text}``.
        """
        check_option("dtype", dtype, DTYPES)
        Prompt.parse(prompt)
        source = find_source(
            name_or_path, revision=revision, offline=offline, trust_remote_code=trust_remote_code
        )
        parts = load_parts(
            source,
            pooling=pooling,
            max_tokens=max_tokens,
            dtype=dtype,
            device=device,
            prompt=prompt,
            skip_first_token=skip_first_token,
            trust_remote_code=trust_remote_code,
            blocks=blocks,
            name=name,
        )
        warn_of_default_prompt(source.path, prompt, source.name)
        return cls(*parts, deepest=parts[-1].n_layers, origin=lasting(name_or_path))

    @classmethod
    def load(
        cls, folder: str | Path, *, device: str | None = None, trust_remote_code: bool = False
    ) -> "Backbone":
        """Load a backbone that ``save`` wrote, with the identity of the one it was cut from.

        Python code that was saved with it runs only with ``trust_remote_code``.

        Raises
        ------
        BackboneLoadError
            If ``save`` did not write the folder, or a file in it is missing or altered.
        """
        place, trusted = Path(folder).expanduser(), trust_remote_code
        parts, saved = load_saved(place, device=device, trust_remote_code=trusted, check=True)
        return cls(*parts, deepest=saved.deepest, origin=saved.origin)

    @no_bars()
    def save(self, folder: str | Path) -> None:
        """Write weights, tokenizer and identity to a folder, which is created if necessary."""
        self.check_unchanged()
        folder = Path(folder).expanduser()
        with self.blocks.turn:
            write_model(self.model, self.tokenizer, folder)
        SavedBackbone(self.spec, self.blocks.path, self.deepest, self.origin).write(folder)

    @property
    def name(self) -> str:
        """Name of the backbone."""
        return self.spec.name

    @property
    def device(self) -> torch.device:
        """Device that it runs on."""
        return torch.device(self.model.device)

    @property
    def kernel(self) -> KernelName:
        """Kernel of its matrix products."""
        plain = self.spec.dtype == "float32" and self.device.type == "cpu"
        return fastest_kernel() if plain else "torch"

    @property
    def n_parameters(self) -> int:
        """Number of parameters; fewer after a cut."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def refs(self) -> tuple[LayerRef, ...]:
        """All available layers, under every pooling."""
        return tuple(ref for ref in self.spec.refs() if ref.layer <= self.deepest)

    def refs_of(self, layers: Sequence[int] | None = None) -> tuple[LayerRef, ...]:
        """Return the refs of some layers, or of all, in the order of the layers.

        Parameters
        ----------
        layers : sequence of int, optional
            Layer numbers; 0 is the embedding output.

        Raises
        ------
        LayerError, UnknownOptionError
            If the backbone does not have one of them; if they are not a sequence of integers.
        """
        if layers is None:
            return self.refs
        refs = wanted_refs(layers, self.spec)
        check_refs(refs, self.spec, self.deepest)
        return refs

    def embed(
        self, texts: Iterable[str], layers: Sequence[int] | None = None, *, progress: bool = True
    ) -> LayerEmbeddings:
        """Embed texts at all layers, or some, in one pass.

        Parameters
        ----------
        texts : column of str
            A list, iterable, NumPy array, pandas Series or pyarrow array. Each distinct text is run
            once. An empty text gives the embedding of the special tokens alone; a lone surrogate is
            read as U+FFFD.
        layers : sequence of int, optional
            Layer numbers; blocks after the deepest are not run. Default: all.
        progress : bool
            Show a progress bar if standard error is a terminal.

        Returns
        -------
        LayerEmbeddings
            Array (layer, text, hidden) with one ref per row.

        Raises
        ------
        LayerError, UnknownOptionError
            If the backbone does not have one of the layers; if they are not integers.
        BackboneChangedError
            If the tokenizer or a weight file was changed in place after loading.
        DataError
            If a text is not a string, or contains a token for which the model has no embedding; if
            texts are not one column, such as a table.
        FeatureError
            If the model returns values that are not finite.
        """
        return self.embed_refs(texts, self.refs_of(layers), progress=progress)

    def embed_refs(
        self, texts: Iterable[str], refs: Refs, *, progress: bool = True
    ) -> LayerEmbeddings:
        """Embed texts as ``embed``, at given layers and poolings only.

        Parameters
        ----------
        texts, progress
            As in ``embed``.
        refs : tuple of LayerRef
            Rows of the result, in order; its values have shape (row, text, hidden).
        """
        texts = as_list(texts, "texts")
        values = np.empty((len(refs), len(texts), self.spec.hidden_size), dtype=np.float32)
        for positions, part in self.stream(texts, refs, progress=progress):
            values[:, positions] = part
        return LayerEmbeddings(values, refs)

    def stream(
        self, texts: Iterable[str], refs: Refs | None = None, *, progress: bool = True
    ) -> Iterator[tuple[np.ndarray, LayerArray]]:
        """Embed texts in batches, so that memory does not grow with the number of texts.

        Parameters
        ----------
        texts : iterable of str
            May be infinite. In a window of 65,536, each distinct text is run once, longest first.
        refs : tuple of LayerRef, optional
            Rows of the result, in order. Default: all.
        progress : bool
            As in ``embed``.

        Yields
        ------
        positions : int array of shape (batch,)
            Positions in ``texts``; each position occurs exactly once.
        values : float32 array of shape (row, batch, hidden)
            Their embeddings.
        """
        refs = self.refs if refs is None else refs
        check_refs(refs, self.spec, self.deepest)
        self.check_unchanged()
        parts, texts = (self.model, self.tokenizer, self.blocks, self.spec), as_stream(texts)
        return embed_batches(*parts, texts, refs=refs, budget=self.budget, progress=progress)

    def cut(self, deepest: int) -> "Backbone":
        """Return this backbone cut after a layer; it shares tensors with the unchanged original.

        Parameters
        ----------
        deepest : int
            Deepest layer to keep.

        Returns
        -------
        Backbone
            Has the same outputs for its layers, and the same identity.

        Raises
        ------
        LayerError, UnknownOptionError
            If this backbone does not have that layer; if it is not an integer.
        """
        deepest = as_integer("deepest", deepest)
        check_refs((LayerRef(self.name, deepest, self.spec.poolings[0]),), self.spec, self.deepest)
        self.check_unchanged()  # because the cut records the tokenizer's present settings
        with self.blocks.turn:
            model, blocks = cut_model(self.model, self.blocks, deepest)
        parts = model, self.tokenizer, blocks, self.spec
        return Backbone(*parts, deepest=deepest, origin=self.origin)

    def renamed(self, name: str) -> "Backbone":
        """Return this backbone under another name; it shares tensors and has the same outputs."""
        self.check_unchanged()
        parts = self.model, self.tokenizer, self.blocks, replace(self.spec, name=name)
        return Backbone(*parts, deepest=self.deepest, origin=self.origin)

    def __repr__(self) -> str:
        return f"<Backbone {self.name}: layers 0 to {self.deepest}, {'+'.join(self.spec.poolings)}>"

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle, without the hooks of a thread that embeds at this moment."""
        with self.blocks.turn:
            model, blocks = copy_structure(self.model, self.blocks)
        return vars(self) | {"model": model, "blocks": blocks}

    def __deepcopy__(self, _memo: dict[int, object]) -> "Backbone":
        """Return itself; it is immutable, and scikit-learn's ``clone`` copies parameters."""
        return self

    def check_unchanged(self) -> None:
        """Raise ``BackboneChangedError`` if tokenizer or weights were changed in place."""
        check_tokenizer(self.tokenizer, self._settings, self.name)
        check_files(self.model, self.name)
