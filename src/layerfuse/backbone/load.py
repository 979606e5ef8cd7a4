"""Loads a frozen model and its tokenizer from a folder or file."""

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
from layerfuse.backbone.cores import use_one_core_if_forked
from layerfuse.backbone.cut import cut_class
from layerfuse.backbone.gguf import load_gguf
from layerfuse.backbone.mapped import mark_files, read_marks
from layerfuse.backbone.prompt import Prompt
from layerfuse.backbone.tokens import stand_in_id
from layerfuse.core.errors import BackboneLoadError, as_integer
from layerfuse.core.spec import Dtype

MAX_TOKENS = 512
"""Default limit if the model allows more, because attention costs grow with its square."""

_SCALES = (".weight_scale", ".weight_scale_inv")
"""Suffixes of the scales of quantised weights, without which these cannot be read."""

_OWN_WORDS = 1000  # from the vocabulary, to test whether the tokenizer returns tokens for them
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
        Allow Python code that comes with the model to run.
    cut_to : (str, int), optional
        For a cut model: path of the block list, and number of blocks in the folder.

    Returns
    -------
    model : PreTrainedModel
        Without a head; of an encoder-decoder model, only the encoder.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.

    Raises
    ------
    BackboneLoadError
        If the folder lacks weights or a Rust tokenizer, or transformers does not support the
        architecture.
    """
    use_one_core_if_forked()
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
    # Settings alone do not suffice: some transformers classes then have an empty vocabulary.
    if not any(file for pattern in _TOKENIZER_FILES for file in path.glob(pattern)):
        raise BackboneLoadError(
            f"{path} has no tokenizer: expected tokenizer.json beside the weights, found "
            f"{', '.join(sorted(p.name for p in path.iterdir()))}."
        )
    with _load_errors("tokenizer", path):
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
    _check_rust(tokenizer, path)
    if _returns_no_tokens(tokenizer.backend_tokenizer):  # all texts would be equal
        raise BackboneLoadError(
            f"The tokenizer in {path} returns no tokens for any text: {type(tokenizer).__name__} "
            "found no vocabulary that it can read. Correct tokenizer_class in "
            "tokenizer_config.json, or add the files that it needs."
        )
    if not isinstance(tokenizer.model_max_length, int | float):
        raise BackboneLoadError(
            f"model_max_length={tokenizer.model_max_length!r} in {path / 'tokenizer_config.json'}: "
            "expected a number."
        )
    return tokenizer


def _check_rust(tokenizer: Any, path: Path) -> None:
    if not getattr(tokenizer, "is_fast", False):  # some transformers classes lack the attribute
        raise BackboneLoadError(
            f"{path}: expected a tokenizer with a tokenizer.json (Rust backend), got "
            f"{type(tokenizer).__name__}. Convert it once with transformers and save it beside the "
            "model."
        )


def _returns_no_tokens(rust: Any) -> bool:
    """Return whether neither printable characters nor words of the vocabulary give a token."""
    try:
        ids = rust.encode(string.printable, add_special_tokens=False).ids
    except Exception:  # noqa: BLE001 - the class tokenizers raises; it has no unknown token
        return False
    words = rust.decode(range(min(rust.get_vocab_size(), _OWN_WORDS)))
    return not ids and not rust.encode(words, add_special_tokens=False).ids


@contextmanager
def _load_errors(part: str, path: Path) -> Iterator[None]:
    """Turn whatever libraries raise for a damaged part into ``BackboneLoadError``."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as err:
        # Other errors need their type to be understood: 'weight_map', list index out of range.
        plain = type(err) is Exception or isinstance(err, OSError | ValueError | ImportError)
        kind = "" if plain else f"{type(err).__name__}: "
        raise BackboneLoadError(f"The {part} in {path} cannot be loaded: {kind}{err}") from err


def _load_weights(
    path: Path, dtype: Dtype, cut_to: tuple[str, int] | None, *, trust_remote_code: bool
) -> Any:
    with _load_errors("model", path):
        config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
        kind = _auto_class(config, trust_remote_code=trust_remote_code)
        if cut_to is not None:
            with torch.device("meta"):  # only to find the class; allocates nothing
                whole = kind.from_config(config, trust_remote_code=trust_remote_code)
            model_class, config = type(whole), whole.config
            kind = cut_class(model_class, *cut_to)
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
            model.__class__ = model_class  # pickle finds this class by name
        if was_quantised and not hasattr(model.config, "quantization_config"):
            # The weights are dequantised now. With the conversions of loading, saving would
            # quantise them again, beside a configuration without quantization_config.
            model._weight_conversions = None  # noqa: SLF001 - selects the family's defaults
    # The pooler follows the last block and is never run; other missing weights would be random.
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
            f"{path} contains quantised weights, with scales such as {scales[0]}, but its "
            "config.json has no quantization_config to read them. Use the complete checkpoint. If "
            "an earlier layerfuse saved this folder from one, save it again."
        )
    if not was_quantised:
        check_plain(path, info["unexpected_keys"])
    if cut_to is None:
        warn_of_more_blocks(path, model, info["unexpected_keys"])
    return model


def _auto_class(config: Any, *, trust_remote_code: bool) -> Any:
    """Return the class to load with; of an encoder-decoder model such as T5, the encoder's."""
    if trust_remote_code and "AutoModel" in (getattr(config, "auto_map", None) or {}):
        return AutoModel  # models with their own code are registered under this name
    # A T5 encoder saved alone has is_encoder_decoder=False, but AutoModel would add a decoder.
    if type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING:
        return AutoModelForTextEncoding
    if config.is_encoder_decoder:
        raise BackboneLoadError(
            f"{config.model_type} has an encoder and a decoder, and transformers has no class for "
            "only its encoder. Use a model that is only an encoder or only a decoder."
        )
    return AutoModel


def move(model: nn.Module, device: str | None) -> None:
    """Move a model to a device, by default to a GPU if there is one.

    Raises
    ------
    BackboneLoadError
        If torch does not know the device, or it is not available.
    """
    try:
        model.to(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    except (RuntimeError, AssertionError) as err:  # torch without CUDA asserts
        raise BackboneLoadError(f"device={device!r} cannot be used: {err}") from err


def choose_max_tokens(
    requested: int | None, model: nn.Module, tokenizer: Any, name: str, prompt: str
) -> int:
    """Return the number of tokens at which texts are truncated.

    Parameters
    ----------
    requested : int, optional
        The user's choice. Default: the limit of the model, at most ``MAX_TOKENS``.
    model : nn.Module
        The loaded model.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.
    name : str
        Name of the backbone, for messages.
    prompt : str
        Prompt around every text.

    Returns
    -------
    int
        Number of tokens, including those of the prompt and special tokens.

    Raises
    ------
    BackboneLoadError
        If the model's limit is lower, or special tokens and prompt leave no room for text.
    """
    limit = token_limit(model, tokenizer)
    chosen = (
        min(limit or MAX_TOKENS, MAX_TOKENS)
        if requested is None
        else as_integer("max_tokens", requested)
    )
    if limit is not None and chosen > limit:
        raise BackboneLoadError(f"max_tokens={chosen}, but {name} takes at most {limit} tokens.")
    template, rust = Prompt.parse(prompt), tokenizer.backend_tokenizer
    rust.no_truncation()  # safe, because nothing else uses the tokenizer yet
    rust.no_padding()
    n_taken = template.n_tokens(rust)
    # If max_tokens is below its special tokens, the Rust tokenizer silently does not truncate.
    if chosen < n_taken + template.n_places:
        added = f"special tokens and those of prompt={prompt!r}" if prompt else "special tokens"
        raise BackboneLoadError(
            f"max_tokens={chosen} leaves no room for text: {name} adds {n_taken} {added} to each."
        )
    return chosen


def token_limit(model: nn.Module, tokenizer: Any) -> int | None:
    """Return the longest input of a model in tokens, or None if positions are unlimited.

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
        # RoBERTa counts positions from padding_idx + 1, so it cannot use the rows before.
        offsets = [
            module.padding_idx + 1
            for name, module in model.named_modules()
            if name.endswith("position_embeddings")
            and getattr(module, "padding_idx", None) is not None  # I-BERT's is no nn.Embedding
        ]
        limits.append(int(positions) - max(offsets, default=0))
    if config.model_type == "big_bird" and config.attention_type == "block_sparse":
        # In longer texts, all tokens attend to the last block, which depends on padding. And the
        # first shorter text switches the model to full attention permanently.
        limits.append((5 + 2 * config.num_random_blocks) * config.block_size)
    if config.model_type == "mpt":
        limits.append(int(config.max_seq_len))
    if tokenizer.model_max_length < 10**9:  # transformers' "no limit" is 10**30
        limits.append(int(tokenizer.model_max_length))
    return min(limits, default=None)


def tokenizer_digest(tokenizer: Any, *, as_before: bool = False) -> str:
    """Return a digest of every setting that changes the ids of a text.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
        Must not be in use by another thread.
    as_before : bool
        Return the digest of earlier versions, which covered neither the stand-in token of texts
        without tokens nor whether special tokens within a text are split.

    Returns
    -------
    str
        ``sha256:...``.
    """
    rust = tokenizer.backend_tokenizer
    rust.no_padding()
    rust.no_truncation()
    state = f"{tokenizer.truncation_side}\n{rust.to_str()}"
    if not as_before:  # most tokenizers use neither, and so keep their digest
        if not rust.encode("").ids:
            state += f"\n{stand_in_id(tokenizer)}"
        if rust.encode_special_tokens:  # not part of the serialised state
            state += "\nspecial tokens are split"
    return f"sha256:{hashlib.sha256(state.encode()).hexdigest()}"
