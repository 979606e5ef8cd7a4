"""Loads exactly the backbone that was used before, or raises."""

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
    """Load a backbone, and verify by its fingerprint that its outputs are the same.

    Parameters
    ----------
    origin : str
        Original argument of ``from_pretrained``. A hub model is loaded at its original commit. The
        name of a packaged or hub model is not searched on this disk.
    spec : BackboneSpec
        Original spec of the backbone.
    device : str, optional
        Device to run on. Default: a GPU if there is one.
    offline : bool
        Do not use the network.
    trust_remote_code : bool
        Allow Python code that comes with the model to run.
    blocks : str, optional
        Original attribute path of the block list, if it cannot be found automatically.

    Returns
    -------
    Backbone
        With exactly this spec, except for two changes since earlier versions: packaged decoders are
        identified by their packages, and tokenizer digests cover the stand-in token of texts
        without tokens and whether special tokens are split.

    Raises
    ------
    BackboneLoadError
        If it cannot be found, or its weights, tokenizer, Python code or the extraction code have
        changed.
    """
    # Folders are identified by their absolute path, so a folder here of a model's name is ignored.
    local = origin not in PACKAGED_MODELS and not spec.weights.startswith(_HUB)
    if local and not Path(origin).expanduser().exists():
        raise BackboneLoadError(
            f"{origin} does not exist any more. {spec.name} was loaded from it; restore it. A "
            "classifier saved with include_backbones=True includes its backbones."
        )
    source = find_source(
        origin,
        revision=spec.weights.rpartition("@")[2] if spec.weights.startswith(_HUB) else None,
        offline=offline,
        trust_remote_code=trust_remote_code,
        local=local,
    )
    # Compared before loading, because other weights may not have the block list at this path.
    same_weights = spec.weights == source.weights or (
        # Earlier versions identified packaged decoders by their unpacked files.
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
        "code or the extraction differ. Use the same version. A classifier saved with "
        "include_backbones=True includes its backbones."
    )


def load_included(folder: Path, *, device: str | None, trust_remote_code: bool) -> Backbone:
    """Load a backbone from the folder of a saved classifier, whose digests are already checked.

    Parameters
    ----------
    folder : Path
        Folder that ``Backbone.save`` wrote.
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
