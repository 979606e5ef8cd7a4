"""Whether a tokenizer still is what it was when it was loaded, told at no cost."""

from collections.abc import Mapping
from typing import Any

from layerfuse.backbone.tokens import stand_in_id
from layerfuse.core.errors import BackboneChangedError

_PARTS = ("normalizer", "pre_tokenizer", "post_processor")
_OF_THE_MODEL = (
    "byte_fallback",
    "continuing_subword_prefix",
    "dropout",
    "end_of_word_suffix",
    "fuse_unk",
    "ignore_merges",
    "max_input_chars_per_word",
    "unk_token",
)


def tokenizer_settings(tokenizer: Any) -> dict[str, object]:
    """Read off what decides which ids a text becomes, but for the words themselves.

    The digest in the spec holds these too, but takes 1.2 s of 262,000 words; this takes 20 ms of
    those, for their 6,000 added tokens, and 0.1 ms of others. Truncation and padding of the Rust
    tokenizer are left out, since ``tokenize`` sets them anew. Changes nothing, so that others may
    use the tokenizer meanwhile.

    Returns
    -------
    dict of str to object
        By what transformers and tokenizers call them.
    """
    rust = tokenizer.backend_tokenizer
    settings: dict[str, object] = {
        "truncation_side": tokenizer.truncation_side,
        # They decide nothing but what stands for a text without tokens, where it can have none.
        "special tokens": None if any(rust.encode("").attention_mask) else stand_in_id(tokenizer),
        "split_special_tokens": rust.encode_special_tokens,
        "added tokens": str(rust.get_added_tokens_decoder()),
        "vocabulary": rust.get_vocab_size(),
        "model": type(rust.model).__name__,
    }
    settings |= {name: _serialised(getattr(rust, name)) for name in _PARTS}
    settings |= {name: getattr(rust.model, name, None) for name in _OF_THE_MODEL}
    return settings


def check_tokenizer(tokenizer: Any, settings: Mapping[str, object], name: str) -> None:
    """Raise unless a tokenizer still has the settings of then.

    Raises
    ------
    BackboneChangedError
        If it was changed in place.
    """
    now = tokenizer_settings(tokenizer)
    changed = [setting for setting, value in settings.items() if now[setting] != value]
    if changed:
        raise BackboneChangedError(
            f"The tokenizer of {name} was changed after it was loaded ({', '.join(changed)}), "
            "but a backbone is frozen: what is stored and saved belongs to the tokenizer of "
            "then. Change it back; or write backbone.model.save_pretrained(folder) and "
            "backbone.tokenizer.save_pretrained(folder), and load that folder. There, "
            'truncation on the left is asked for by "truncation_side": "left" in '
            "tokenizer_config.json."
        )


def _serialised(part: Any) -> bytes | None:
    try:
        return None if part is None else bytes(part.__getstate__())
    except Exception:  # noqa: BLE001 - tokenizers raises nothing narrower for a part in Python
        return b"Python"  # put there later: with one a tokenizer has no digest, so no backbone
