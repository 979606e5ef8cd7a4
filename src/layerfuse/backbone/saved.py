"""``backbone.json`` of a saved backbone: its identity, and the digests of the other files."""

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
"""Files that determine the outputs of a saved backbone. Other files are ignored."""


@dataclass(frozen=True, slots=True)
class SavedBackbone:
    """Identity of a saved backbone, which may be cut.

    Parameters
    ----------
    spec : BackboneSpec
        Spec of the uncut backbone.
    blocks : str
        Attribute path of the block list.
    deepest : int
        Deepest available layer.
    origin : str
        Argument of ``from_pretrained``.
    """

    spec: BackboneSpec
    blocks: str
    deepest: int
    origin: str

    def write(self, folder: Path) -> None:
        """Write it beside the weights, and give these the same file mode."""
        fields = {**asdict(self), "spec": self.spec.to_dict(), "files": _digests(folder)}
        fields[_DIGEST] = fields_digest(fields)
        (folder / _FILE).write_text(json.dumps(fields, indent=2) + "\n", "utf-8")
        open_to_readers(folder, like=folder / _FILE)

    @classmethod
    def read(cls, folder: Path, *, check: bool) -> "SavedBackbone":
        """Read the file that ``write`` wrote.

        Parameters
        ----------
        folder : Path
            Folder of the saved backbone.
        check : bool
            Compare the other files with their digests; earlier versions wrote none.

        Raises
        ------
        BackboneLoadError
            If the file is missing or damaged, or another file is missing or altered.
        """
        if (folder / "config.json").is_file() and not (folder / _FILE).exists():
            raise BackboneLoadError(
                f"{folder} is a model that Backbone.save did not write. Load it with "
                "Backbone.from_pretrained."
            )
        try:
            fields = _fields(folder)
            files = fields.pop("files", {})
            saved = cls(**{**fields, "spec": BackboneSpec.from_dict(fields["spec"])})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
            raise BackboneLoadError(f"{folder} is not a saved backbone: {_FILE}: {err}") from err
        if check and files != (digests := _digests(folder, files)):
            wrong = next(name for name, digest in files.items() if digests.get(name) != digest)
            raise BackboneLoadError(
                f"{folder} is not the backbone that was saved there: {wrong} is "
                f"{'altered' if wrong in digests else 'missing'}. Save or copy the whole folder "
                "again, or load another model with Backbone.from_pretrained."
            )
        return saved


def load_saved(
    folder: Path, *, device: str | None, trust_remote_code: bool, check: bool
) -> tuple[tuple[Any, Any, Blocks, BackboneSpec], SavedBackbone]:
    """Load the model and tokenizer of a saved backbone, and find its blocks.

    Parameters
    ----------
    folder : Path
        Folder that ``Backbone.save`` wrote.
    device, trust_remote_code
        As in ``Backbone.load``.
    check : bool
        As in ``SavedBackbone.read``.

    Returns
    -------
    parts : (PreTrainedModel, PreTrainedTokenizerFast, Blocks, BackboneSpec)
        The parts of a backbone.
    saved : SavedBackbone
        Its identity.

    Raises
    ------
    BackboneLoadError
        If the folder is damaged, or it needs Python code that is not trusted.
    """
    saved = SavedBackbone.read(folder, check=check)
    n_blocks = max(1, saved.deepest)  # a cut keeps at least one
    model, tokenizer = load_model(
        folder,
        saved.spec.dtype,
        trust_remote_code=trust_remote_code,
        cut_to=(saved.blocks, n_blocks),
    )
    if saved.spec.code and not code_digest(model, folder):
        raise BackboneLoadError(
            f"{saved.spec.name} in {folder} needs its own Python code. Pass trust_remote_code=True "
            "to run it."
        )
    move(model, device)
    blocks = find_blocks(model, saved.blocks, n_blocks)
    return (model, tokenizer, blocks, saved.spec), saved


def _fields(folder: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((folder / _FILE).read_text("utf-8"))
    if fields.pop(_DIGEST, None) not in {None, fields_digest(fields)}:
        raise ValueError("the file was altered after it was saved")
    return fields


def _digests(folder: Path, names: Collection[str] | None = None) -> dict[str, str]:
    """Return the digests of the files that determine outputs, or of those with some names."""
    existing = {path.name for pattern in _READ for path in folder.glob(pattern)} - {_FILE}
    chosen = sorted(existing if names is None else existing & {*names})
    return {name: file_digest(folder / name) for name in chosen}
