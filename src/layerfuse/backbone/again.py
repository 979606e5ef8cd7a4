"""Load the very backbone that some earlier work was done with, or refuse."""

from dataclasses import replace
from pathlib import Path

from layerfuse.backbone.backbone import Backbone
from layerfuse.backbone.load import tokenizer_digest
from layerfuse.backbone.parts import load_parts
from layerfuse.backbone.saved import load_saved
from layerfuse.backbone.source import find_source, lasting
from layerfuse.backbone.weights import digest
from layerfuse.core.errors import BackboneLoadError
from layerfuse.core.spec import BackboneSpec
from layerfuse.wheels import PACKAGED_MODELS

_HUB = "hub:"


def load_again(
    origin: str,
    spec: BackboneSpec,
    *,
    device: str | None = None,
    offline: bool = False,
    trust_remote_code: bool = False,
    blocks: str | None = None,
) -> Backbone:
    """Load a backbone and prove by its fingerprint that it gives the same numbers.

    Parameters
    ----------
    origin : str
        What ``from_pretrained`` was given then; for a hub model the commit of then is taken. The
        name of a packaged or a hub model is not looked for on this disk.
    spec : BackboneSpec
        What the backbone was then.
    device : str, optional
        Where to run. Default: a GPU if there is one.
    offline : bool
        Never reach for the network.
    trust_remote_code : bool
        Run Python code that comes with the model.
    blocks : str, optional
        Attribute path of the block list then, for models where it cannot be found alone.

    Returns
    -------
    Backbone
        With exactly that spec; but for a packaged decoder's of before, whose ``weights`` are now
        those of its packages, and for tokenizers whose digest of before did not hold what stands
        for a text without tokens or whether special tokens are split.

    Raises
    ------
    BackboneLoadError
        If it cannot be found, or its weights, tokenizer or the extraction code are others now.
    """
    # A folder is known by its whole path: one of that name here is another thing.
    local = origin not in PACKAGED_MODELS and not spec.weights.startswith(_HUB)
    if local and not Path(origin).expanduser().exists():
        raise BackboneLoadError(
            f"{origin} does not exist any more. {spec.name} was loaded from there: put it back. A "
            "classifier saved with include_backbones=True carries its own."
        )
    source = find_source(
        origin,
        revision=spec.weights.rpartition("@")[2] if spec.weights.startswith(_HUB) else None,
        offline=offline,
        trust_remote_code=trust_remote_code,
        local=local,
    )
    # Told before they are loaded: other weights may have no blocks where those of then had them.
    same_weights = spec.weights == source.weights or (
        # A packaged decoder was once known by what lies unpacked.
        source.packaged and spec.weights == digest(source.path)
    )
    if same_weights:
        parts = load_parts(
            source,
            pooling=spec.poolings,
            max_tokens=spec.max_tokens,
            dtype=spec.dtype,
            device=device,
            prompt=spec.prompt,
            skip_first_token=spec.skip_first_token,
            trust_remote_code=trust_remote_code,
            blocks=blocks,
            name=spec.name,
        )
        _, tokenizer, _, now = parts
        same_tokenizer = spec.tokenizer == now.tokenizer or (
            spec.tokenizer == tokenizer_digest(tokenizer, as_before=True)
        )
        alike = replace(now, weights=spec.weights, tokenizer=spec.tokenizer)
        if same_tokenizer and alike.fingerprint == spec.fingerprint:
            kept = lasting(origin) if local else origin
            return Backbone(*parts, deepest=now.n_layers, origin=kept)
    raise BackboneLoadError(
        f"{origin} is not the backbone that was used before: its weights, tokenizer, Python "
        "code or the extraction differ. Load the same version; a classifier saved with "
        "include_backbones=True carries its own."
    )


def load_included(folder: Path, *, device: str | None, trust_remote_code: bool) -> Backbone:
    """Load a backbone that lies in a saved classifier, which has compared its files with digests.

    Parameters
    ----------
    folder : Path
        What ``Backbone.save`` wrote.
    device, trust_remote_code
        As in ``Backbone.load``.

    Returns
    -------
    Backbone
        With the identity of the one it was cut from.

    Raises
    ------
    BackboneLoadError
        If it cannot be loaded.
    """
    parts, saved = load_saved(
        folder, device=device, trust_remote_code=trust_remote_code, check=False
    )
    return Backbone(*parts, deepest=saved.deepest, origin=saved.origin)
