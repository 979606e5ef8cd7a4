"""What a saved backbone is besides model and tokenizer: one small JSON file, with their digests."""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from layerfuse.backbone.blocks import Blocks, find_blocks
from layerfuse.backbone.load import load_model, move
from layerfuse.backbone.source import code_digest
from layerfuse.core.errors import BackboneLoadError
from layerfuse.core.files import fields_digest, file_digest, open_to_readers
from layerfuse.core.spec import BackboneSpec

_FILE = "backbone.json"
_DIGEST = "digest"
_READ = ("config.json", "*.safetensors", "*.safetensors.index.json", "*token*.json", "*.py")
"""Files that decide what a saved backbone gives. Others may lie beside them."""


@dataclass(frozen=True, slots=True)
class SavedBackbone:
    """Identity of a saved, perhaps cut, backbone.

    Parameters
    ----------
    spec : BackboneSpec
        Of the backbone it was cut from.
    blocks : str
        Attribute path of the block list.
    deepest : int
        Deepest layer it can give.
    origin : str
        What ``from_pretrained`` was given.
    """

    spec: BackboneSpec
    blocks: str
    deepest: int
    origin: str

    def write(self, folder: Path) -> None:
        """Put it beside the weights, and let all read them who may read it."""
        fields = {**asdict(self), "spec": self.spec.to_dict(), "files": _digests(folder)}
        fields[_DIGEST] = fields_digest(fields)
        (folder / _FILE).write_text(json.dumps(fields, indent=2) + "\n", "utf-8")
        open_to_readers(folder, like=folder / _FILE)

    @classmethod
    def read(cls, folder: Path, *, check: bool) -> "SavedBackbone":
        """Read what ``write`` wrote.

        Parameters
        ----------
        folder : Path
            Where it lies.
        check : bool
            Compare the files beside it with their digests; earlier versions wrote none.

        Raises
        ------
        BackboneLoadError
            If the file is missing or damaged, or one beside it is not what was saved with it.
        """
        if (folder / "config.json").is_file() and not (folder / _FILE).exists():
            raise BackboneLoadError(
                f"{folder} is a model that Backbone.save did not write. Read it with "
                "Backbone.from_pretrained."
            )
        try:
            fields = _fields(folder)
            files = fields.pop("files", {})
            saved = cls(**{**fields, "spec": BackboneSpec.from_dict(fields["spec"])})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
            raise BackboneLoadError(f"{folder} is no saved backbone: {_FILE}: {err}") from err
        if check and files != (found := _digests(folder, files)):
            other = next(name for name, was in files.items() if found.get(name) != was)
            raise BackboneLoadError(
                f"{folder} is not the backbone that was saved there: {other} is "
                f"{'another file now' if other in found else 'missing'}. Save or copy it again "
                "whole; another model is loaded with Backbone.from_pretrained."
            )
        return saved


def load_saved(
    folder: Path, *, device: str | None, trust_remote_code: bool, check: bool
) -> tuple[tuple[Any, Any, Blocks, BackboneSpec], SavedBackbone]:
    """Load model and tokenizer and find the blocks that are left.

    Parameters
    ----------
    folder : Path
        What ``Backbone.save`` wrote.
    device, trust_remote_code
        As in ``Backbone.load``.
    check : bool
        As in ``SavedBackbone.read``.

    Returns
    -------
    parts : (PreTrainedModel, PreTrainedTokenizerFast, Blocks, BackboneSpec)
        What a backbone is made of.
    saved : SavedBackbone
        What else is known of it.

    Raises
    ------
    BackboneLoadError
        If the folder is not what was saved, or code that came with it is not trusted.
    """
    saved = SavedBackbone.read(folder, check=check)
    n_blocks = max(1, saved.deepest)  # a cut keeps one at least
    model, tokenizer = load_model(
        folder,
        saved.spec.dtype,
        trust_remote_code=trust_remote_code,
        cut_to=(saved.blocks, n_blocks),
    )
    if saved.spec.code and not code_digest(model, folder):
        raise BackboneLoadError(
            f"{saved.spec.name} in {folder} is computed by Python code of its own. Pass "
            "trust_remote_code=True to run it."
        )
    move(model, device)
    blocks = find_blocks(model, saved.blocks, n_blocks)
    return (model, tokenizer, blocks, saved.spec), saved


def _fields(folder: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((folder / _FILE).read_text("utf-8"))
    if fields.pop(_DIGEST, None) not in {None, fields_digest(fields)}:
        raise ValueError("it is not the file that was saved")
    return fields


def _digests(folder: Path, names: Collection[str] | None = None) -> dict[str, str]:
    """Return the digests of the files that decide, or of those of some names that are there."""
    decide = {path.name for pattern in _READ for path in folder.glob(pattern)} - {_FILE}
    found = sorted(decide if names is None else decide & {*names})
    return {name: file_digest(folder / name) for name in found}
