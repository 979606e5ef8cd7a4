"""Load a frozen model and its tokenizer from a folder or file."""

import hashlib
import string
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForTextEncoding,
    AutoTokenizer,
)

from layerfuse.backbone.bars import no_bars
from layerfuse.backbone.blocks import text_config
from layerfuse.backbone.checkpoint import check_plain, warn_of_more_blocks
from layerfuse.backbone.cut import cut_class
from layerfuse.backbone.gguf import load_gguf
from layerfuse.backbone.mapped import mark_files, read_marks
from layerfuse.backbone.prompt import Prompt
from layerfuse.backbone.tokens import stand_in_id
from layerfuse.core.errors import BackboneLoadError, as_integer
from layerfuse.core.spec import Dtype

MAX_TOKENS = 512
"""Default limit where the model allows more: attention costs grow with the square of it."""

_SCALES = (".weight_scale", ".weight_scale_inv")
"""What quantised weights are multiplied by; without it they are numbers without meaning."""

_OWN_WORDS = 1000  # of a tokenizer, to try whether it makes tokens of them
_TOKENIZER_FILES = ("tokenizer.json", "*vocab*", "*.model", "*.tiktoken")


@no_bars()
def load_model(
    path: Path,
    dtype: Dtype,
    *,
    trust_remote_code: bool,
    cut_to: tuple[str, int] | None = None,
) -> tuple[Any, Any]:
    """Load model and tokenizer, frozen and in evaluation mode.

    Parameters
    ----------
    path : Path
        Folder or ``.gguf`` file.
    dtype : Dtype
        Precision of the weights.
    trust_remote_code : bool
        Run Python that comes with the model.
    cut_to : (str, int), optional
        Path of the block list and number of its blocks that the folder has.

    Returns
    -------
    model : PreTrainedModel
        Without any head; the encoder alone where the model has both encoder and decoder.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.

    Raises
    ------
    BackboneLoadError
        If the folder lacks a tokenizer in Rust or weights, or transformers does not know the
        architecture.
    """
    if path.is_file():
        model, tokenizer = load_gguf(path, dtype)
        _check_rust(tokenizer, path)
    else:
        tokenizer = _load_tokenizer(path, trust_remote_code=trust_remote_code)
        marks = read_marks(path)
        model = _load_weights(path, dtype, cut_to, trust_remote_code=trust_remote_code)
        mark_files(model, marks, dtype)
    model.requires_grad_(requires_grad=False)
    return model.eval(), tokenizer


def _load_tokenizer(path: Path, *, trust_remote_code: bool) -> Any:
    # Settings alone do not do: some classes of transformers then start with an empty vocabulary.
    if not any(file for pattern in _TOKENIZER_FILES for file in path.glob(pattern)):
        raise BackboneLoadError(
            f"{path} has no tokenizer: expected tokenizer.json beside the weights, found "
            f"{', '.join(sorted(p.name for p in path.iterdir()))}."
        )
    with _told("tokenizer", path):
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
    _check_rust(tokenizer, path)
    if _makes_nothing(tokenizer.backend_tokenizer):  # all texts would be one
        raise BackboneLoadError(
            f"The tokenizer in {path} makes no token of any text: {type(tokenizer).__name__} found "
            "no vocabulary that it reads. Mend tokenizer_class in tokenizer_config.json, or put "
            "the files there that it needs."
        )
    if not isinstance(tokenizer.model_max_length, int | float):
        raise BackboneLoadError(
            f"model_max_length={tokenizer.model_max_length!r} in {path / 'tokenizer_config.json'}: "
            "expected a number."
        )
    return tokenizer


def _check_rust(tokenizer: Any, path: Path) -> None:
    if not getattr(tokenizer, "is_fast", False):  # some kinds in transformers do not even say so
        raise BackboneLoadError(
            f"{path}: expected a tokenizer with a tokenizer.json (Rust backend), got "
            f"{type(tokenizer).__name__}. Convert it once with transformers and save it beside the "
            "model."
        )


def _makes_nothing(rust: Any) -> bool:
    """Tell whether neither letters and digits nor its own words, if it has any, become a token."""
    try:
        found = rust.encode(string.printable, add_special_tokens=False).ids
    except Exception:  # noqa: BLE001 - of that very class: it has no word for unknown ones
        return False
    own = rust.decode(range(min(rust.get_vocab_size(), _OWN_WORDS)))
    return not found and not rust.encode(own, add_special_tokens=False).ids


@contextmanager
def _told(part: str, path: Path) -> Iterator[None]:
    """Tell which part of a folder cannot be loaded, whatever libraries raise of a damaged one."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as err:
        # The messages of others say little without the kind: 'weight_map', list index out of range.
        plain = type(err) is Exception or isinstance(err, OSError | ValueError | ImportError)
        kind = "" if plain else f"{type(err).__name__}: "
        raise BackboneLoadError(f"The {part} in {path} cannot be loaded: {kind}{err}") from err


def _load_weights(
    path: Path, dtype: Dtype, cut_to: tuple[str, int] | None, *, trust_remote_code: bool
) -> Any:
    with _told("model", path):
        config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
        kind = _auto_class(config, trust_remote_code=trust_remote_code)
        if cut_to is not None:
            with torch.device("meta"):  # to learn the class; nothing is allocated
                whole = kind.from_config(config, trust_remote_code=trust_remote_code)
            own, config = type(whole), whole.config
            kind = cut_class(own, *cut_to)
        was_quantised = hasattr(config, "quantization_config")
        model, info = kind.from_pretrained(
            path,
            config=config,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
        if cut_to is not None:
            model.__class__ = own  # which pickle finds again by its name
        if was_quantised and not hasattr(model.config, "quantization_config"):
            # The weights are plain numbers now. Saved by what they were read by they would be
            # quantised once more, beside a configuration that does not say so.
            model._weight_conversions = None  # noqa: SLF001 - the defaults of the family are taken
    # The pooler follows the last block and is never run here; all else missing would be random.
    missing = sorted(key for key in info["missing_keys"] if "pooler" not in key)
    if missing:
        lost = (
            f"{path} lacks {len(missing)} weights of {type(model).__name__}, such as {missing[0]}"
        )
        if cut_to is None and (path / "backbone.json").is_file():
            raise BackboneLoadError(f"{lost}: it was cut and saved. Load it with Backbone.load.")
        raise BackboneLoadError(f"{lost}. Expected a complete checkpoint.")
    scales = sorted(key for key in info["unexpected_keys"] if key.endswith(_SCALES))
    if scales:
        raise BackboneLoadError(
            f"{path} holds quantised weights, with scales such as {scales[0]}, but its config.json "
            "has no quantization_config that says how to read them. Take the whole checkpoint; "
            "what was saved from one by an earlier layerfuse must be saved anew."
        )
    if not was_quantised:
        check_plain(path, info["unexpected_keys"])
    if cut_to is None:
        warn_of_more_blocks(path, model, info["unexpected_keys"])
    return model


def _auto_class(config: Any, *, trust_remote_code: bool) -> Any:
    """Take the encoder alone of a model that has encoder and decoder, as T5 does."""
    if trust_remote_code and "AutoModel" in (getattr(config, "auto_map", None) or {}):
        return AutoModel  # the name under which code of their own is written down
    # A T5 encoder saved alone says is_encoder_decoder=False, yet AutoModel would add a decoder.
    if type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING:
        return AutoModelForTextEncoding
    if config.is_encoder_decoder:
        raise BackboneLoadError(
            f"{config.model_type} has an encoder and a decoder, and transformers has no class for "
            "its encoder alone. Use a model that is only an encoder or only a decoder."
        )
    return AutoModel


def move(model: nn.Module, device: str | None) -> None:
    """Move a model to a device, by default to a GPU if there is one.

    Raises
    ------
    BackboneLoadError
        If torch does not know the device or it is not there.
    """
    try:
        model.to(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    except (RuntimeError, AssertionError) as err:  # torch without CUDA asserts
        raise BackboneLoadError(f"device={device!r} cannot be used: {err}") from err


def choose_max_tokens(
    asked: int | None, model: nn.Module, tokenizer: Any, name: str, prompt: str
) -> int:
    """Return the number of tokens at which texts are truncated.

    Parameters
    ----------
    asked : int, optional
        What the user wants. Default: what the model allows, at most ``MAX_TOKENS``.
    model : nn.Module
        The loaded model.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.
    name : str
        For messages.
    prompt : str
        What is put around every text.

    Returns
    -------
    int
        Special tokens and those of the prompt included.

    Raises
    ------
    BackboneLoadError
        If the model takes fewer, or there is no room beside the special tokens and the prompt.
    """
    limit = token_limit(model, tokenizer)
    chosen = (
        min(limit or MAX_TOKENS, MAX_TOKENS) if asked is None else as_integer("max_tokens", asked)
    )
    if limit is not None and chosen > limit:
        raise BackboneLoadError(f"max_tokens={chosen}, but {name} takes at most {limit} tokens.")
    template, rust = Prompt.parse(prompt), tokenizer.backend_tokenizer
    rust.no_truncation()  # nobody else has the tokenizer yet
    rust.no_padding()
    n_taken = template.n_tokens(rust)
    # With fewer than its special tokens the Rust tokenizer silently does not truncate at all.
    if chosen < n_taken + template.n_places:
        added = f"special tokens and those of prompt={prompt!r}" if prompt else "special tokens"
        raise BackboneLoadError(
            f"max_tokens={chosen} leaves no room for text: {name} adds {n_taken} {added} to each."
        )
    return chosen


def token_limit(model: nn.Module, tokenizer: Any) -> int | None:
    """Return the longest input the model can take, in tokens, or None where positions have no end.

    Parameters
    ----------
    model : nn.Module
        The loaded model.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.

    Returns
    -------
    int or None
        The limit.
    """
    config, limits = text_config(model), []
    positions = getattr(config, "max_position_embeddings", None)
    if positions and positions > 0:
        # RoBERTa counts positions from its padding id, so that many rows of the table are lost.
        offsets = [
            module.padding_idx + 1
            for name, module in model.named_modules()
            if name.endswith("position_embeddings")
            and getattr(module, "padding_idx", None) is not None  # I-BERT's is no nn.Embedding
        ]
        limits.append(int(positions) - max(offsets, default=0))
    if config.model_type == "big_bird" and config.attention_type == "block_sparse":
        # Beyond, the last block of a text is one that all see: with padding it is another one. And
        # the first shorter text makes all attention full, for good.
        limits.append((5 + 2 * config.num_random_blocks) * config.block_size)
    if config.model_type == "mpt":
        limits.append(int(config.max_seq_len))
    if tokenizer.model_max_length < 10**9:  # transformers' "no limit" is 10**30
        limits.append(int(tokenizer.model_max_length))
    return min(limits, default=None)


def tokenizer_digest(tokenizer: Any, *, as_before: bool = False) -> str:
    """Return a digest of everything that decides which ids a text becomes.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
        Nobody else may use it meanwhile.
    as_before : bool
        Make the digest of earlier versions, which held neither what stands for a text without
        tokens nor whether special tokens are split where they stand in a text.

    Returns
    -------
    str
        ``sha256:...``.
    """
    rust = tokenizer.backend_tokenizer
    rust.no_padding()
    rust.no_truncation()
    state = f"{tokenizer.truncation_side}\n{rust.to_str()}"
    if not as_before:  # most tokenizers have neither, and the same digest as then
        if not rust.encode("").ids:
            state += f"\n{stand_in_id(tokenizer)}"
        if rust.encode_special_tokens:  # which its own serialised state leaves out
            state += "\nspecial tokens are split"
    return f"sha256:{hashlib.sha256(state.encode()).hexdigest()}"
