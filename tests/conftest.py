"""Two tiny transformers with random weights, texts they can tell apart, and a cache of its own."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

TOPICS = {
    "calm": [f"calm{i}" for i in range(8)],
    "loud": [f"loud{i}" for i in range(8)],
    "wild": [f"wild{i}" for i in range(8)],
}
COMMON = [f"word{i}" for i in range(12)]

Toy = Callable[..., tuple[list[str], list[str]]]


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory, monkeypatch) -> Path:
    """Keep every test away from the user's cache."""
    folder = tmp_path_factory.mktemp("user-cache")
    monkeypatch.setenv("LAYERFUSE_CACHE", str(folder))
    return folder


def write_tiny(folder: Path, *, decoder: bool = False, seed: int = 0) -> Path:
    """Save a BERT or a Llama of three blocks, 32 wide, with a tokenizer of whole words."""
    import torch
    import transformers as tf
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    words = [*special, *COMMON, *(word for topic in TOPICS.values() for word in topic)]
    rust = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    rust.pre_tokenizer = pre_tokenizers.Whitespace()
    rust.post_processor = processors.TemplateProcessing(
        single="[CLS] $A" if decoder else "[CLS] $A [SEP]",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    names = {"bos_token": "[CLS]"} if decoder else {"cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = tf.PreTrainedTokenizerFast(
        tokenizer_object=rust, pad_token="[PAD]", unk_token="[UNK]", **names
    )
    config = (tf.LlamaConfig if decoder else tf.BertConfig)(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
        initializer_range=0.2,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tf.AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="session")
def tiny_encoder(tiny_folders) -> Path:
    """Folder of a BERT-like encoder: layers 0 to 3, pooled by mean."""
    return write_tiny(tiny_folders / "encoder")


@pytest.fixture(scope="session")
def tiny_decoder(tiny_folders) -> Path:
    """Folder of a Llama-like decoder: layers 0 to 3, pooled by mean and last."""
    return write_tiny(tiny_folders / "decoder", decoder=True, seed=1)


@pytest.fixture
def new_encoder(tmp_path) -> Callable[..., Path]:
    """Write an encoder of one's own, to be moved or changed."""
    return lambda name="own", seed=0: write_tiny(tmp_path / name, seed=seed)


@pytest.fixture(scope="session")
def toy() -> Toy:
    """Draw distinct texts of which each holds words of one topic only, and the topics."""

    def draw(
        n_texts: int = 48, topics: Sequence[str] = ("calm", "loud"), seed: int = 0
    ) -> tuple[list[str], list[str]]:
        rng = np.random.default_rng(seed)
        labels = [topics[i % len(topics)] for i in range(n_texts)]
        texts = [
            " ".join(rng.permutation([*rng.choice(TOPICS[label], 4), *rng.choice(COMMON, 3)]))
            for label in labels
        ]
        return texts, labels

    return draw


@pytest.fixture(scope="session")
def toy_texts(toy) -> list[str]:
    return toy()[0]


@pytest.fixture(scope="session")
def toy_labels(toy) -> list[str]:
    return toy()[1]


@pytest.fixture
def subprocess_environment() -> dict[str, str]:
    """Return the environment in which another Python finds the same packages and cache."""
    path = os.pathsep.join(filter(None, sys.path))
    # No other number of threads: sums in another order have other last bits.
    return os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": ""}
