"""What a saved backbone is besides model and tokenizer: one small JSON file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from layerfuse.backbone.load import load_model
from layerfuse.backbone.source import code_digest
from layerfuse.core.errors import BackboneLoadError
from layerfuse.core.files import open_to_readers
from layerfuse.core.spec import BackboneSpec

_FILE = "backbone.json"


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
        fields = {**asdict(self), "spec": self.spec.to_dict()}
        (folder / _FILE).write_text(json.dumps(fields, indent=2) + "\n", "utf-8")
        open_to_readers(folder, like=folder / _FILE)

    @property
    def n_blocks(self) -> int:
        """Number of blocks in the folder, unless they are shared."""
        return max(1, self.deepest)

    def load_model(self, folder: Path, *, trust_remote_code: bool) -> tuple[Any, Any]:
        """Load model and tokenizer from beside it.

        Raises
        ------
        BackboneLoadError
            If something is missing or damaged, or code that came with it is not trusted.
        """
        model, tokenizer = load_model(
            folder,
            self.spec.dtype,
            trust_remote_code=trust_remote_code,
            cut_to=(self.blocks, self.n_blocks),
        )
        if self.spec.code and not code_digest(model, folder):
            raise BackboneLoadError(
                f"{self.spec.name} in {folder} is computed by Python code of its own. Pass "
                "trust_remote_code=True to run it."
            )
        return model, tokenizer

    @classmethod
    def read(cls, folder: Path) -> "SavedBackbone":
        """Read what ``write`` wrote.

        Raises
        ------
        BackboneLoadError
            If the file is missing or damaged.
        """
        if (folder / "config.json").is_file() and not (folder / _FILE).exists():
            raise BackboneLoadError(
                f"{folder} is a model that Backbone.save did not write. Read it with "
                "Backbone.from_pretrained."
            )
        try:
            fields = json.loads((folder / _FILE).read_text("utf-8"))
            return cls(**{**fields, "spec": BackboneSpec.from_dict(fields["spec"])})
        except (OSError, ValueError, KeyError, TypeError) as err:
            raise BackboneLoadError(f"{folder} is no saved backbone: {_FILE}: {err}") from err
