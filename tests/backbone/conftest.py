"""Every family as a tiny model with random weights and a real Rust tokenizer, built once.

What several test files need is a fixture, so that they run under every import mode.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from layerfuse.backbone import Backbone

POOLINGS = ("mean", "first", "last", "max", "weighted_mean")
MAX_POSITIONS = 48
TEXTS = [
    "a",
    "the cat sat on the mat and the dog ran to the cat",
    "one two three",
    "the dog ran on " * 7 + "and sat",
    "zebra quux",
]
WORDS = [f"w{i}" for i in range(20)] + sorted(
    {w for text in TEXTS for w in text.split()} - {"quux"}
)


def words(special: list[str], template: str) -> Tokenizer:
    """Make a tokenizer of whole words; the first four special tokens have ids 0 to 3."""
    vocab = {token: i for i, token in enumerate([*special, *WORDS])}
    rust = Tokenizer(models.WordLevel(vocab, unk_token=special[-1]))
    rust.pre_tokenizer = pre_tokenizers.Whitespace()
    return with_template(rust, special, template)


def byte_pairs(special: list[str], template: str) -> Tokenizer:
    """Make a byte-level BPE tokenizer, as GPT-2 has."""
    rust = Tokenizer(models.BPE())
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rust.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rust.train_from_iterator(TEXTS, trainer)
    return with_template(rust, special, template)


def with_template(rust: Tokenizer, special: list[str], template: str) -> Tokenizer:
    rust.add_special_tokens(special)
    if template:
        ids = [(token, rust.token_to_id(token)) for token in special]
        rust.post_processor = processors.TemplateProcessing(
            single=template, pair=f"{template} $B:1", special_tokens=ids
        )
    return rust


def fast(rust: Tokenizer, **tokens: str) -> tf.PreTrainedTokenizerFast:
    return tf.PreTrainedTokenizerFast(tokenizer_object=rust, **tokens)


def bert_tokenizer():
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    return fast(words(special, "[CLS] $A [SEP]"), **names)


def roberta_tokenizer():
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    rust = byte_pairs(special, "<s> $A </s>")
    return fast(rust, cls_token="<s>", sep_token="</s>", **names)


def t5_tokenizer():
    rust = words(["<pad>", "</s>", "<unk>"], "$A </s>")
    return fast(rust, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def opt_tokenizer():
    rust = byte_pairs(["<s>", "<pad>", "</s>"], "</s> $A")
    return fast(rust, bos_token="</s>", pad_token="<pad>", eos_token="</s>")


def gemma_tokenizer():
    rust = byte_pairs(["<pad>", "<eos>", "<bos>"], "<bos> $A")
    return fast(rust, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>")


def llama_tokenizer():
    """Have no padding token, as Llama and Mistral."""
    rust = byte_pairs(["<unk>", "<s>", "</s>"], "<s> $A")
    return fast(rust, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def gpt2_tokenizer():
    """Have no padding token and add no special token."""
    rust = byte_pairs(["<|endoftext|>"], "")
    return fast(rust, bos_token="<|endoftext|>", eos_token="<|endoftext|>")


def qwen_tokenizer():
    """Add no special token and have no start token."""
    rust = byte_pairs(["<|endoftext|>", "<|im_end|>"], "")
    return fast(rust, pad_token="<|endoftext|>", eos_token="<|im_end|>")


ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": MAX_POSITIONS,
    "initializer_range": 0.2,
}
DECODER = {**ENCODER, "num_key_value_heads": 2, "head_dim": 8}
DEBERTA = {
    **ENCODER,
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "position_biased_input": False,
    "type_vocab_size": 0,
}


@dataclass(frozen=True)
class Family:
    """One row of the table.

    ``norm`` is the attribute path of the final norm where transformers reports the last layer after
    it; empty where the last reported layer is raw.
    """

    name: str
    config: type
    tokenizer: Callable[[], tf.PreTrainedTokenizerFast]
    options: dict[str, object] = field(default_factory=lambda: ENCODER)
    causal: bool = False
    norm: str = ""
    shared: bool = False
    offset: int = 0  # positions lost because the model counts from the padding id


FAMILIES = [
    Family("bert", tf.BertConfig, bert_tokenizer),
    Family("roberta", tf.RobertaConfig, roberta_tokenizer, offset=2),
    Family("xlm-roberta", tf.XLMRobertaConfig, roberta_tokenizer, offset=2),
    Family(
        "distilbert",
        tf.DistilBertConfig,
        bert_tokenizer,
        {
            "dim": 32,
            "n_layers": 3,
            "n_heads": 4,
            "hidden_dim": 48,
            "max_position_embeddings": MAX_POSITIONS,
            "initializer_range": 0.2,
        },
    ),
    Family(
        "albert", tf.AlbertConfig, bert_tokenizer, {**ENCODER, "embedding_size": 16}, shared=True
    ),
    Family(
        "albert-2-groups",
        tf.AlbertConfig,
        bert_tokenizer,
        {**ENCODER, "embedding_size": 16, "num_hidden_layers": 4, "num_hidden_groups": 2},
        shared=True,
    ),
    Family("electra", tf.ElectraConfig, bert_tokenizer, {**ENCODER, "embedding_size": 16}),
    Family("mpnet", tf.MPNetConfig, roberta_tokenizer, offset=2),
    Family("deberta-v2", tf.DebertaV2Config, bert_tokenizer),
    Family(
        "deberta-v2-conv",
        tf.DebertaV2Config,
        bert_tokenizer,
        {**DEBERTA, "conv_kernel_size": 3, "conv_act": "gelu"},
    ),
    Family("deberta-v3", tf.DebertaV2Config, bert_tokenizer, DEBERTA),
    Family(
        "modernbert",
        tf.ModernBertConfig,
        bert_tokenizer,
        {**ENCODER, "local_attention": 8, "global_attn_every_n_layers": 2, "pad_token_id": 0},
        norm="final_norm",
    ),
    Family(
        "t5",
        tf.T5Config,
        t5_tokenizer,
        {"d_model": 32, "d_ff": 48, "num_layers": 3, "num_heads": 4, "d_kv": 8},
        norm="encoder.final_layer_norm",
    ),
    Family("gpt2", tf.GPT2Config, gpt2_tokenizer, causal=True, norm="ln_f"),
    Family("gpt-neox", tf.GPTNeoXConfig, gpt2_tokenizer, causal=True, norm="final_layer_norm"),
    Family(
        "opt",
        tf.OPTConfig,
        opt_tokenizer,
        {**ENCODER, "ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.2},
        causal=True,
        norm="decoder.final_layer_norm",
    ),
    Family("llama", tf.LlamaConfig, llama_tokenizer, DECODER, causal=True, norm="norm"),
    Family(
        "mistral",
        tf.MistralConfig,
        llama_tokenizer,
        {**DECODER, "sliding_window": 8},
        causal=True,
        norm="norm",
    ),
    Family("qwen2", tf.Qwen2Config, qwen_tokenizer, DECODER, causal=True, norm="norm"),
    Family("qwen3", tf.Qwen3Config, qwen_tokenizer, DECODER, causal=True, norm="norm"),
    Family(
        "gemma2",
        tf.Gemma2Config,
        gemma_tokenizer,
        {**DECODER, "sliding_window": 8},
        causal=True,
        norm="norm",
    ),
    Family(
        "gemma3",
        tf.Gemma3TextConfig,
        gemma_tokenizer,
        {**DECODER, "num_hidden_layers": 4, "sliding_window": 8, "sliding_window_pattern": 2},
        causal=True,
        norm="norm",
    ),
]


def write_model(family: Family, folder: Path, seed: int = 0, **changed: object) -> Path:
    """Save a random model of the family."""
    tokenizer = family.tokenizer()
    ids = {
        f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")
    }
    config = family.config(**{"vocab_size": len(tokenizer), **ids, **family.options, **changed})
    return save_random(config, tokenizer, folder, seed)


def save_random(config, tokenizer, folder: Path, seed: int = 0) -> Path:
    """Save a random model; norms and biases are random too, so none is a no-op."""
    kind = tf.T5EncoderModel if config.model_type == "t5" else tf.AutoModel
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind(config) if kind is tf.T5EncoderModel else kind.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_as(folder: Path, kind: type, options: dict[str, object]) -> Path:
    """Save a random model of a family that is not in the table."""
    tokenizer = bert_tokenizer()
    config = kind(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **options)
    return save_random(config, tokenizer, folder)


def run_plain(model, tokenizer, text: str) -> list[np.ndarray]:
    batch = tokenizer(text, return_tensors="pt")
    inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    with torch.no_grad():
        states = model(**inputs, output_hidden_states=True).hidden_states
    return [state[0].numpy() for state in states]


def pool_plain(states: np.ndarray, pooling: str) -> np.ndarray:
    """Pool (token, hidden) states of one text without padding, slowly, in float64."""
    states = states.astype(np.float64)
    if pooling == "weighted_mean":
        weights = np.arange(1, len(states) + 1)
        return sum(w * s for w, s in zip(weights, states, strict=True)) / weights.sum()
    simple = {
        "mean": lambda: sum(states) / len(states),
        "first": lambda: states[0],
        "last": lambda: states[-1],
        "max": lambda: np.array([max(column) for column in states.T]),
    }
    return simple[pooling]()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> SimpleNamespace:
    """Share between test files the table, the texts, builders, the plain reference."""
    root = tmp_path_factory.mktemp("models")
    table = {family.name: family for family in FAMILIES}

    def folder(name: str) -> Path:
        path = root / name
        return path if path.exists() else write_model(table[name], path)

    return SimpleNamespace(
        families=table,
        texts=TEXTS,
        poolings=POOLINGS,
        max_positions=MAX_POSITIONS,
        folder=folder,
        write=lambda name, path, **changed: write_model(table[name], path, **changed),
        write_as=write_as,
        run_plain=run_plain,
        pool_plain=pool_plain,
    )


@pytest.fixture(scope="session", params=FAMILIES, ids=lambda family: family.name)
def family(request) -> Family:
    return request.param


@pytest.fixture(scope="session")
def backbone(family, tiny) -> Backbone:
    """Load the family's tiny model as a user would, with every pooling."""
    return Backbone.from_pretrained(tiny.folder(family.name), pooling=POOLINGS, device="cpu")


@pytest.fixture(scope="session")
def embedded(backbone) -> np.ndarray:
    """All layers under all poolings of the texts, in one pass."""
    return backbone.embed(TEXTS).values


@pytest.fixture(scope="session")
def bert(tiny) -> Backbone:
    return Backbone.from_pretrained(tiny.folder("bert"), device="cpu")


@pytest.fixture
def copy_of(tiny, tmp_path) -> Callable[[str], Path]:
    """Write a family's model to a folder of its own, to be damaged."""
    return lambda name: write_model(tiny.families[name], tmp_path / name)
