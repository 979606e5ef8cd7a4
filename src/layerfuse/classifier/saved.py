"""Saves a fitted classifier as a bundle, and loads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from layerfuse.backbone import Backbone, load_again, load_included
from layerfuse.bundle import (
    Bundle,
    model_card,
    read_bundle,
    read_config,
    read_steady,
    with_prefix,
    write_bundle,
)
from layerfuse.classifier.backbones import saved_parameters
from layerfuse.core.errors import BundleFormatError
from layerfuse.core.escape import literal, quoted
from layerfuse.core.layers import LayerRef
from layerfuse.core.selection import Selection
from layerfuse.core.spec import BackboneSpec
from layerfuse.fuse import FUSIONS, Fusion, fusion_name
from layerfuse.score import CriterionInfo
from layerfuse.train import HeadCandidate, PooledHead

_BACKBONES = "backbones"


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Everything that prediction needs.

    Parameters
    ----------
    parameters : mapping
        Constructor arguments, as JSON types.
    classes : array of shape (class,)
        Sorted labels, in the type of the training labels.
    selection : Selection
        Layers in use.
    fusion : Fusion
        The fitted fusion.
    head : PooledHead
        The fitted head.
    backbones : mapping of str to Backbone
        Each cut at its deepest layer in use.
    validation : tuple of HeadCandidate
        Held-out quality of the heads, for the model card.
    portable : bool
        Whether it was loaded from a folder with its backbones, which may be their only copy.
    text_column : str, optional
        Column of the training texts, if they were in a table.
    """

    parameters: Mapping[str, Any]
    classes: np.ndarray
    selection: Selection
    fusion: Fusion
    head: PooledHead
    backbones: Mapping[str, Backbone]
    validation: tuple[HeadCandidate, ...] = ()
    portable: bool = False
    text_column: str | None = None


def lasting_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constructor arguments that are valid on any machine, as JSON types.

    Parameters
    ----------
    parameters : mapping
        Constructor arguments by name.

    Returns
    -------
    dict
        All but the settings of this machine and the prompts, which the specs of the backbones in
        use have. A criterion is given by name, class weights as pairs.
    """
    left_out = {"cache", "device", "offline", "progress", "prompt"}
    lasting = {name: value for name, value in parameters.items() if name not in left_out}
    criterion = parameters["criterion"]
    if isinstance(criterion, CriterionInfo):
        lasting["criterion"] = criterion.name
    elif callable(criterion):
        lasting["criterion"] = getattr(criterion, "__name__", type(criterion).__name__)
    weights = parameters["class_weight"]
    if isinstance(weights, Mapping):  # as pairs, because JSON turns keys into strings
        lasting["class_weight"] = [[label, float(weight)] for label, weight in weights.items()]
    return lasting


def save_fitted(fitted: Fitted, folder: Path, *, include_backbones: bool) -> None:
    """Write a fitted classifier to a folder, completely or not at all.

    Parameters
    ----------
    fitted : Fitted
        Classifier to write.
    folder : Path
        New, empty, or an older saved classifier.
    include_backbones : bool
        Also write the cut backbones.
    """

    def write_backbones(built: Path) -> None:
        for i, backbone in enumerate(fitted.backbones.values()):
            backbone.save(built / _BACKBONES / str(i))

    arrays = {f"fusion.{name}": array for name, array in fitted.fusion.arrays().items()}
    arrays |= {f"head.{name}": array for name, array in fitted.head.arrays().items()}
    origins = [backbone.origin for backbone in fitted.backbones.values()]
    config = {
        "parameters": {**fitted.parameters, "backbones": origins},
        "classes": fitted.classes.tolist(),
        "classes_dtype": fitted.classes.dtype.str,
        "selection": {
            "layers": [str(ref) for ref in fitted.selection],
            "reason": fitted.selection.reason,
        },
        "fusion": fusion_name(fitted.fusion),
        "head": fitted.head.kind,
        "backbones": [
            {"origin": origin, "spec": b.spec.to_dict(), "blocks": b.blocks.path}
            for origin, b in zip(origins, fitted.backbones.values(), strict=True)
        ],
    }
    if fitted.text_column is not None:
        config["text_column"] = fitted.text_column
    bundle = Bundle(config, arrays, _card(fitted))
    write_bundle(folder, bundle, write_backbones if include_backbones else None)


def load_fitted(
    folder: Path, *, device: str | None, offline: bool, trust_remote_code: bool = False
) -> Fitted:
    """Read a classifier that ``save_fitted`` wrote.

    Parameters
    ----------
    folder : Path
        The saved folder.
    device : str, optional
        Device to run on.
    offline : bool
        Do not use the network.
    trust_remote_code : bool
        Allow Python code that comes with a backbone to run.

    Returns
    -------
    Fitted
        The saved classifier.

    Raises
    ------
    BundleFormatError
        If the folder is incomplete, altered or of a newer format.
    BackboneLoadError
        If a backbone cannot be loaded or has changed.
    """
    folder = folder.expanduser()
    trusted = trust_remote_code
    return read_steady(folder, lambda: _load(folder, device, offline=offline, trusted=trusted))


def _load(folder: Path, device: str | None, *, offline: bool, trusted: bool) -> Fitted:
    bundle = read_bundle(folder)
    config = bundle.config
    try:
        selection = Selection(
            tuple(LayerRef.parse(ref) for ref in config["selection"]["layers"]),
            config["selection"]["reason"],
        )
        name = config.get("fusion", config["parameters"]["fusion"])  # format 2 lacks it
        fusion = FUSIONS[name].from_arrays(with_prefix(bundle.arrays, "fusion."))
        head = PooledHead.from_arrays(config["head"], with_prefix(bundle.arrays, "head."))
        saved = [
            (b["origin"], BackboneSpec.from_dict(b["spec"]), b["blocks"])
            for b in config["backbones"]
        ]
        parameters = dict(config["parameters"])
        if isinstance(parameters.get("class_weight"), list):
            parameters["class_weight"] = dict(parameters["class_weight"])
        parameters |= saved_parameters([(origin, spec) for origin, spec, _ in saved], parameters)
        native = np.dtype(config["classes_dtype"]).newbyteorder("=")  # pyarrow needs it
        classes = np.array(config["classes"], dtype=native)
    except (KeyError, TypeError) as err:
        raise BundleFormatError(f"{folder} is damaged: its config.json lacks {err}.") from err
    # Only files with a digest count; ``save`` did not write any others in that folder.
    portable = any(name.startswith(f"{_BACKBONES}/") for name in config["files"])
    included = folder / _BACKBONES
    backbones = [
        load_included(included / str(i), device=device, trust_remote_code=trusted)
        if portable
        else load_again(
            origin,
            spec,
            device=device,
            offline=offline,
            trust_remote_code=trusted,
            blocks=blocks,
        )
        for i, (origin, spec, blocks) in enumerate(saved)
    ]
    cut = {b.name: b.cut(selection.deepest(b.name)) for b in backbones}
    parts = parameters, classes, selection, fusion, head, cut
    return Fitted(*parts, portable=portable, text_column=config.get("text_column"))


def saved_text_column(folder: Path) -> str | None:
    """Return the column of the training texts of a saved classifier, if it recorded one.

    It reads only the configuration, so that a table can be refused before the models are loaded.

    Raises
    ------
    BundleFormatError
        If the folder is not a saved classifier.
    """
    column: str | None = read_config(folder).get("text_column")
    return column


def _card(fitted: Fitted) -> str:
    return model_card(
        classes=[str(label) for label in fitted.classes],
        selection=fitted.selection,
        fusion=fusion_name(fitted.fusion),
        head=fitted.head.kind + (" + TF-IDF" if fitted.head.lexical else ""),
        validation=[
            f"{c.name}: held-out accuracy {c.accuracy:.4f}, log loss {c.log_loss:.4f}"
            for c in fitted.validation
        ],
        backbones=[
            f"`{b.origin}`, weights `{b.spec.weights}`, {b.deepest} of {b.spec.n_layers} blocks"
            + (f", prompt {literal(quoted(b.spec.prompt))}" if b.spec.prompt else "")
            for b in fitted.backbones.values()
        ],
        n_parameters=sum(b.n_parameters for b in fitted.backbones.values()),
    )
