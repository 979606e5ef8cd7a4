"""Detects changes of a tokenizer after loading, at little cost."""

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
    """Return all settings that change the ids of a text, except the vocabulary itself.

    The digest in the spec also covers the vocabulary, but takes 1.2 s for 262,000 words. This takes
    20 ms for the same tokenizer, because of its 6,000 added tokens, and 0.1 ms for others.
    Truncation and padding of the Rust tokenizer are left out, because ``tokenize`` sets them. The
    tokenizer is not modified, so other threads may use it.

    Returns
    -------
    dict of str to object
        Settings by their names in transformers and tokenizers.
    """
    rust = tokenizer.backend_tokenizer
    settings: dict[str, object] = {
        "truncation_side": tokenizer.truncation_side,
        # They matter only if a text can have no tokens, as they then give the stand-in token.
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
    """Raise unless a tokenizer still has the settings recorded on loading.

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
            "but a backbone is frozen: stored embeddings and saved classifiers belong to the "
            "original tokenizer. Undo the change; or call backbone.model.save_pretrained(folder) "
            "and backbone.tokenizer.save_pretrained(folder), and load that folder. To truncate "
            'on the left, set "truncation_side": "left" in its tokenizer_config.json.'
        )


def _serialised(part: Any) -> bytes | None:
    try:
        return None if part is None else bytes(part.__getstate__())
    except Exception:  # noqa: BLE001 - the class tokenizers raises for a part written in Python
        return b"Python"  # must be a later change: a tokenizer with such a part cannot be loaded
