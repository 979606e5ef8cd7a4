"""Prompts around texts, with truncation of the text but not of the prompt."""

import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerfuse.core.errors import UnknownOptionError

TEXT = "{text}"
"""Marks the place of the text in a prompt."""

_CONFIG = "config_sentence_transformers.json"
_PLACE = re.compile(r"\{\s*\w*\s*\}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A template with at least one place for the text.

    Parameters
    ----------
    template : str
        Contains ``{text}`` at least once.
    """

    template: str

    @classmethod
    def parse(cls, prompt: str) -> "Prompt":
        """Parse a user's prompt; without ``{text}``, it is put before the text.

        Raises
        ------
        UnknownOptionError
            If it is not a string, contains a lone surrogate, or has a placeholder other than
            ``{text}``.
        """
        if not isinstance(prompt, str):
            raise UnknownOptionError(f"prompt={prompt!r}: expected a string.")
        try:
            prompt.encode()
        except UnicodeEncodeError as err:
            msg = f"prompt={prompt!r} contains half a surrogate pair, which is not a character."
            raise UnknownOptionError(msg) from err
        if TEXT in prompt:
            return cls(prompt)
        if place := _PLACE.search(prompt):
            raise UnknownOptionError(
                f"prompt={prompt!r} has the placeholder {place[0]}. Write {TEXT} for the text."
            )
        return cls(prompt + TEXT)

    @property
    def n_places(self) -> int:
        """How often it contains the text."""
        return self.template.count(TEXT)

    def around(self, text: str) -> str:
        """Return the template with a text filled in."""
        return self.template.replace(TEXT, text)

    def survives(self, side: str) -> bool:
        """Return whether truncation on this side removes only text, not prompt."""
        text_is_cut = self.template.endswith if side == "right" else self.template.startswith
        return self.n_places == 1 and text_is_cut(TEXT)

    def n_tokens(self, rust: Any) -> int:
        """Return its number of tokens without text, special tokens included."""
        return len(rust.encode(self.around(""), add_special_tokens=True).ids)

    def encode_cut(self, rust: Any, texts: Sequence[str], max_tokens: int, side: str) -> list[Any]:
        """Return encodings of the template around as much of each text as fits.

        Parameters
        ----------
        rust : tokenizers.Tokenizer
            Truncates at ``max_tokens``. Its settings are not changed, so others may use it too.
        texts : sequence of str
            Texts that are too long.
        max_tokens : int
            At least ``n_tokens`` plus one for each place.
        side : str
            Side on which texts are truncated: ``right`` or ``left``.

        Returns
        -------
        list of tokenizers.Encoding
            Encodings of at most ``max_tokens``. If the template contains the text once, seldom more
            than two tokens stay unused; up to four were observed at an emoji, whose tokens are
            dropped together.
        """
        cut = list(texts)
        encodings: list[Any] = [None] * len(texts)
        room = (max_tokens - self.n_tokens(rust)) // self.n_places
        too_long = list(range(len(texts)))
        # Text and template may have more tokens together than apart.
        for n_kept in range(room, -1, -1):
            alone = rust.encode_batch([cut[i] for i in too_long], add_special_tokens=False)
            for i, encoding in zip(too_long, alone, strict=True):
                cut[i] = _cut(cut[i], encoding.offsets, n_kept, side)
            whole = [self.around(cut[i]) for i in too_long]
            for i, encoding in zip(too_long, rust.encode_batch_fast(whole), strict=True):
                encodings[i] = encoding
            too_long = [i for i in too_long if encodings[i].overflowing]
            if not too_long:
                break
        return encodings


def warn_of_default_prompt(folder: Path, prompt: str, name: str) -> None:
    """Warn if a model was trained with a default prompt before every text and the user gives none.

    There is no warning for models with prompts but no default, because the right one depends on the
    task.

    Parameters
    ----------
    folder : Path
        Folder of the model, or its ``.gguf`` file.
    prompt : str
        The user's prompt; ``{text}`` alone means none, without the warning.
    name : str
        Name of the backbone, for the message.

    Warns
    -----
    UserWarning
        If so; names the prompt.
    """
    default = _default_prompt(folder)
    if default and not prompt:
        warnings.warn(
            f"{name} was made for the prompt {default!r} before every text, which "
            f"sentence-transformers adds by default ({_CONFIG}); layerfuse adds none. Pass "
            f"prompt={default!r} to add it, or prompt={TEXT!r} to silence this warning.",
            stacklevel=3,
        )


def _default_prompt(folder: Path) -> str:
    """Return a model's default prompt; empty if it has none or the file is not valid."""
    try:
        fields = json.loads((folder / _CONFIG).read_text("utf-8"))
        prompt = fields["prompts"][fields["default_prompt_name"]]
    except (OSError, ValueError, KeyError, TypeError):  # only this warning needs the file
        return ""
    return prompt if isinstance(prompt, str) else ""


def _cut(text: str, offsets: Sequence[tuple[int, int]], n_tokens: int, side: str) -> str:
    """Return the part of a text that its first (or last) tokens cover."""
    if len(offsets) <= n_tokens:
        return text
    if n_tokens == 0:
        return ""
    if side == "right":
        return text[: offsets[n_tokens - 1][1]]
    return text[offsets[-n_tokens][0] :].lstrip()  # a space belongs to the token after it
