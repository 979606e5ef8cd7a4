"""``Backbone``: a frozen transformer that embeds texts at all of its layers in one pass."""

import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from layerfuse.backbone.blocks import Blocks, find_blocks, is_causal
from layerfuse.backbone.cut import cut_model
from layerfuse.backbone.load import MAX_TOKENS, load_model, token_limit, tokenizer_digest
from layerfuse.backbone.source import find_source
from layerfuse.backbone.tap import LayerTap
from layerfuse.backbone.tokens import TokenizedTexts, check_fast, stand_in_id, tokenize
from layerfuse.core.arrays import LayerArray
from layerfuse.core.errors import BackboneLoadError, FeatureError, LayerError, check_option
from layerfuse.core.layers import LayerEmbeddings, LayerRef, Pooling
from layerfuse.core.spec import BackboneSpec, Dtype

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_CPU_TOKEN_BUDGET = 1024  # fits the caches of a core; larger batches of short texts gain nothing
_GPU_TOKEN_BUDGET = 16_384
_SPEC_FILE = "backbone.json"


class Backbone:
    """A frozen transformer with its tokenizer and pooling.

    Make one with ``from_pretrained``; the constructor takes the finished parts.

    Parameters
    ----------
    model : PreTrainedModel
        Frozen, in evaluation mode.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.
    blocks : Blocks
        Its block list.
    spec : BackboneSpec
        Everything that changes the numbers.
    deepest : int
        Deepest layer it can give; less than ``spec.n_layers`` for a cut backbone.
    origin : str
        What ``from_pretrained`` was given, so that the same can be loaded again.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        blocks: Blocks,
        spec: BackboneSpec,
        deepest: int,
        origin: str,
    ) -> None:
        self.origin = origin
        self.model = model
        self.tokenizer = tokenizer
        self.blocks = blocks
        self.spec = spec
        self.deepest = deepest
        gpu = self.device.type == "cuda"
        self.token_budget = _GPU_TOKEN_BUDGET if gpu else _CPU_TOKEN_BUDGET

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
            Looked for in this order: local folder or file; packaged model; hub id.
        revision : str, optional
            Branch, tag or commit on the hub.
        pooling : Pooling or sequence of Pooling, optional
            All are taken in the same pass. Default: ``mean``; for decoders ``mean`` and ``last``.
        max_tokens : int, optional
            Longer texts are truncated. Default: what the model allows, at most 512.
        dtype : Dtype
            Precision of weights and forward pass.
        device : str, optional
            Such as ``cpu`` or ``cuda:0``. Default: a GPU if there is one.
        prompt : str
            Put before every text.
        skip_first_token : bool
            Leave the first token out of ``mean``, ``weighted_mean`` and ``max``: in decoders it is an
            attention sink.
        trust_remote_code : bool
            Run Python code that comes with the model.
        offline : bool
            Never reach for the network.
        blocks : str, optional
            Attribute path of the block list, where it cannot be found alone.
        name : str, optional
            Another name for layers and tables.

        Returns
        -------
        Backbone
            Frozen, ready to embed.

        Raises
        ------
        BackboneLoadError
            If it is found nowhere, is incomplete, or its blocks cannot be found.
        DownloadError
            If a packaged model cannot be downloaded.
        UnknownOptionError
            If dtype or a pooling is unknown.
        """
        check_option("dtype", dtype, _DTYPES)
        source = find_source(
            name_or_path, revision=revision, offline=offline, trust_remote_code=trust_remote_code
        )
        model, tokenizer = load_model(
            source.path, _DTYPES[dtype], trust_remote_code=trust_remote_code
        )
        name = name or source.name
        check_fast(tokenizer, name)
        model.to(_device(device))
        found = find_blocks(model, blocks)
        states = _probe(model, tokenizer, found, name)
        spec = BackboneSpec(
            name=name,
            weights=source.weights,
            tokenizer=tokenizer_digest(tokenizer),
            n_layers=found.n_layers,
            hidden_size=states.shape[-1],
            poolings=_poolings(pooling, causal=is_causal(states)),
            max_tokens=_max_tokens(max_tokens, token_limit(model, tokenizer), name),
            dtype=dtype,
            prompt=prompt,
            skip_first_token=skip_first_token,
        )
        return cls(model, tokenizer, found, spec, found.n_layers, str(name_or_path))

    @classmethod
    def load(cls, folder: str | Path, *, device: str | None = None) -> "Backbone":
        """Load what ``save`` wrote, with the identity of the backbone it was cut from.

        Raises
        ------
        BackboneLoadError
            If the folder is not one that ``save`` wrote.
        """
        folder = Path(folder)
        try:
            saved = json.loads((folder / _SPEC_FILE).read_text("utf-8"))
            spec = BackboneSpec.from_dict(saved["spec"])
        except (OSError, ValueError, KeyError, TypeError) as err:
            raise BackboneLoadError(f"{folder} is no saved backbone: {_SPEC_FILE}: {err}") from err
        model, tokenizer = load_model(folder, _DTYPES[spec.dtype], trust_remote_code=False)
        model.to(_device(device))
        blocks = find_blocks(model, saved["blocks"])
        return cls(model, tokenizer, blocks, spec, saved["deepest"], saved["origin"])

    def save(self, folder: str | Path) -> None:
        """Write the weights that are left, the tokenizer and the identity to a folder.

        Parameters
        ----------
        folder : str or Path
            Made if it does not exist.
        """
        folder = Path(folder)
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        saved = {
            "spec": self.spec.to_dict(),
            "blocks": self.blocks.path,
            "deepest": self.deepest,
            "origin": self.origin,
        }
        (folder / _SPEC_FILE).write_text(json.dumps(saved, indent=2) + "\n", "utf-8")

    @property
    def name(self) -> str:
        """What people call it."""
        return self.spec.name

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        device: torch.device = self.model.device
        return device

    @property
    def n_parameters(self) -> int:
        """Parameters in memory; fewer after a cut."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def refs(self) -> tuple[LayerRef, ...]:
        """Every layer it can give, under every pooling."""
        return tuple(ref for ref in self.spec.refs() if ref.layer <= self.deepest)

    def refs_of(self, layers: Sequence[int] | None = None) -> tuple[LayerRef, ...]:
        """Return the refs of some layers, or of all.

        Parameters
        ----------
        layers : sequence of int, optional
            Layer numbers; 0 is the embedding output.

        Returns
        -------
        tuple of LayerRef
            In the order of the layers.

        Raises
        ------
        LayerError
            If the backbone does not have one of them.
        """
        if layers is None:
            return self.refs
        refs = tuple(
            LayerRef(self.name, int(layer), pooling)
            for layer in layers
            for pooling in self.spec.poolings
        )
        self._check(refs)
        return refs

    def embed(
        self, texts: Sequence[str], layers: Sequence[int] | None = None, *, progress: bool = True
    ) -> LayerEmbeddings:
        """Embed texts at all layers, or some, in one pass.

        Parameters
        ----------
        texts : sequence of str
            Each distinct text is run once. An empty text gives the embedding of the bare special tokens.
        layers : sequence of int, optional
            Layers wanted; blocks after the deepest are not run. Default: all.
        progress : bool
            Show a progress bar if standard error is a terminal.

        Returns
        -------
        LayerEmbeddings
            Array (layer, text, hidden) with one ref per row.

        Raises
        ------
        LayerError
            If the backbone does not have one of the layers.
        FeatureError
            If the model gives values that are no numbers.
        """
        return self.embed_refs(texts, self.refs_of(layers), progress=progress)

    def embed_refs(
        self, texts: Sequence[str], refs: tuple[LayerRef, ...], *, progress: bool = True
    ) -> LayerEmbeddings:
        """Embed texts at exactly the rows wanted: ``embed`` for those who know layer and pooling.

        Parameters
        ----------
        texts : sequence of str
            Each distinct text is run once.
        refs : tuple of LayerRef
            Rows wanted, in order.
        progress : bool
            Show a progress bar if standard error is a terminal.

        Returns
        -------
        LayerEmbeddings
            One row per ref.
        """
        values = np.empty((len(refs), len(texts), self.spec.hidden_size), dtype=np.float32)
        for positions, part in self.stream(texts, refs, progress=progress):
            values[:, positions] = part
        return LayerEmbeddings(values, refs)

    def stream(
        self, texts: Sequence[str], refs: tuple[LayerRef, ...], *, progress: bool = True
    ) -> Iterator[tuple[np.ndarray, LayerArray]]:
        """Embed texts batch by batch, longest first, so that memory does not grow with the corpus.

        Parameters
        ----------
        texts : sequence of str
            Each distinct text is run once.
        refs : tuple of LayerRef
            Rows wanted.
        progress : bool
            Show a progress bar if standard error is a terminal.

        Yields
        ------
        positions : int array of shape (batch,)
            Positions in ``texts``; every position comes exactly once.
        values : float32 array of shape (row, batch, hidden)
            Their embeddings.
        """
        self._check(refs)
        distinct = list(dict.fromkeys(texts))
        places: dict[str, list[int]] = {text: [] for text in distinct}
        for position, text in enumerate(texts):
            places[text].append(position)
        tokens = tokenize(self.tokenizer, distinct, self.spec.max_tokens, self.spec.prompt)
        self._report_truncated(tokens)
        tap = LayerTap(self.blocks, refs, skip_first_token=self.spec.skip_first_token)
        bar = tqdm(
            total=len(texts), desc=self.name, unit="text", disable=None if progress else True
        )
        with bar, tap:
            for batch in tokens.batches(self.token_budget):
                values = self._run(tap, tokens, batch)
                copies = [places[distinct[i]] for i in batch.tolist()]
                repeats = np.fromiter((len(c) for c in copies), dtype=np.int64)
                positions = np.concatenate([np.array(c, dtype=np.int64) for c in copies])
                yield positions, values.repeat(repeats, axis=1) if repeats.max() > 1 else values
                bar.update(len(positions))

    @torch.inference_mode()
    def _run(self, tap: LayerTap, tokens: TokenizedTexts, batch: np.ndarray) -> LayerArray:
        pad_id = self.tokenizer.pad_token_id
        ids, mask = tokens.padded(batch, stand_in_id(self.tokenizer) if pad_id is None else pad_id)
        values = tap.run(self.model, ids.to(self.device), mask.to(self.device))
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values).all(axis=(1, 2))))
            raise FeatureError(
                f"{tap.refs[row]} holds values that are no finite numbers (dtype "
                f"{self.spec.dtype}). Try dtype='float32', and check the weights."
            )
        return values

    def cut(self, deepest: int) -> "Backbone":
        """Return this backbone ended after a layer, sharing its tensors; the original is unchanged.

        Parameters
        ----------
        deepest : int
            Deepest layer still wanted.

        Returns
        -------
        Backbone
            Gives the same numbers for the layers it has, and has the same identity.

        Raises
        ------
        LayerError
            If this backbone does not reach that deep.
        """
        self._check((LayerRef(self.name, deepest, self.spec.poolings[0]),))
        model = cut_model(self.model, self.blocks, deepest)
        blocks = self.blocks if model is self.model else find_blocks(model, self.blocks.path)
        return Backbone(model, self.tokenizer, blocks, self.spec, deepest, self.origin)

    def __deepcopy__(self, _memo: dict[int, object]) -> "Backbone":
        """Return itself: nothing in it ever changes, and scikit-learn's ``clone`` copies parameters."""
        return self

    def _check(self, refs: tuple[LayerRef, ...]) -> None:
        for ref in refs:
            if ref not in self.refs:
                raise LayerError(
                    f"{ref} is not a layer of this backbone. {self.name} has layers 0 to "
                    f"{self.deepest} pooled by {', '.join(self.spec.poolings)}."
                )
        if not refs:
            raise LayerError(f"Expected at least one layer of {self.name}, got none.")

    def _report_truncated(self, tokens: TokenizedTexts) -> None:
        if tokens.n_truncated:
            warnings.warn(
                f"{self.name}: {tokens.n_truncated} of {len(tokens.lengths)} distinct texts are "
                f"longer than max_tokens={self.spec.max_tokens} and were truncated.",
                stacklevel=4,
            )


def _device(device: str | None) -> torch.device:
    try:
        return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as err:
        raise BackboneLoadError(f"device={device!r} is no device of torch: {err}") from err


def _poolings(
    pooling: Pooling | Sequence[Pooling] | None, *, causal: bool
) -> tuple[Pooling, ...]:
    if pooling is None:
        return ("mean", "last") if causal else ("mean",)
    return (pooling,) if isinstance(pooling, str) else tuple(pooling)


def _max_tokens(asked: int | None, limit: int | None, name: str) -> int:
    if asked is None:
        return min(limit or MAX_TOKENS, MAX_TOKENS)
    if limit is not None and asked > limit:
        raise BackboneLoadError(f"max_tokens={asked}, but {name} takes at most {limit} tokens.")
    return asked


@torch.inference_mode()
def _probe(model: Any, tokenizer: Any, blocks: Blocks, name: str) -> torch.Tensor:
    """Run two inputs that differ in the last token and return their deepest states, (2, token, hidden)."""
    pad_id = tokenizer.pad_token_id
    usable = [i for i in range(16) if i != pad_id]
    ids = torch.tensor([[*usable[:4], usable[4]], [*usable[:4], usable[5]]], device=model.device)
    mask = torch.ones_like(ids)
    refs = tuple(LayerRef(name, layer, "first") for layer in range(blocks.n_layers + 1))
    first = LayerTap(blocks, refs)
    with first:
        states = torch.from_numpy(first.run(model, ids, mask))
    return states[-1].unsqueeze(1)
