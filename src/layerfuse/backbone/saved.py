"""What a saved backbone is besides model and tokenizer: one small JSON file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from layerfuse.core.errors import BackboneLoadError
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
        """Put it beside the weights."""
        fields = {**asdict(self), "spec": self.spec.to_dict()}
        (folder / _FILE).write_text(json.dumps(fields, indent=2) + "\n", "utf-8")

    @classmethod
    def read(cls, folder: Path) -> "SavedBackbone":
        """Read what ``write`` wrote.

        Raises
        ------
        BackboneLoadError
            If the file is missing or damaged.
        """
        try:
            fields = json.loads((folder / _FILE).read_text("utf-8"))
            return cls(**{**fields, "spec": BackboneSpec.from_dict(fields["spec"])})
        except (OSError, ValueError, KeyError, TypeError) as err:
            raise BackboneLoadError(f"{folder} is no saved backbone: {_FILE}: {err}") from err
