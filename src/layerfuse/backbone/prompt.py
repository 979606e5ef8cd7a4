"""What stands around every text, and texts cut so that nothing of it is cut off."""

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

_USUAL = "config_sentence_transformers.json"
_PLACE = re.compile(r"\{\s*\w*\s*\}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A template with one place for the text or more.

    Parameters
    ----------
    template : str
        Holds ``{text}`` at least once.
    """

    template: str

    @classmethod
    def parse(cls, prompt: str) -> "Prompt":
        """Read what a user wrote: without ``{text}`` it is put before the text.

        Raises
        ------
        UnknownOptionError
            If it is no string, holds what is no character, or has a place for something else than
            the text.
        """
        if not isinstance(prompt, str):
            raise UnknownOptionError(f"prompt={prompt!r}: expected a string.")
        try:
            prompt.encode()
        except UnicodeEncodeError as err:
            msg = f"prompt={prompt!r} holds half a surrogate pair, which is no character."
            raise UnknownOptionError(msg) from err
        if TEXT in prompt:
            return cls(prompt)
        if place := _PLACE.search(prompt):
            raise UnknownOptionError(
                f"prompt={prompt!r} has a place for {place[0]}. Write {TEXT} where the text stands."
            )
        return cls(prompt + TEXT)

    @property
    def n_places(self) -> int:
        """How often the text stands in it."""
        return self.template.count(TEXT)

    def around(self, text: str) -> str:
        """Return the template with a text in its place."""
        return self.template.replace(TEXT, text)

    def survives(self, side: str) -> bool:
        """Tell whether cutting the whole at this side cuts nothing but text."""
        text_is_cut = self.template.endswith if side == "right" else self.template.startswith
        return self.n_places == 1 and text_is_cut(TEXT)

    def n_tokens(self, rust: Any) -> int:
        """Return how many tokens it takes with no text, special tokens included."""
        return len(rust.encode(self.around(""), add_special_tokens=True).ids)

    def encode_cut(self, rust: Any, texts: Sequence[str], max_tokens: int, side: str) -> list[Any]:
        """Return encodings of the template around as much of each text as fits.

        Parameters
        ----------
        rust : tokenizers.Tokenizer
            Truncates at ``max_tokens``. Others may use it too: no setting of it is changed.
        texts : sequence of str
            Too long to fit whole.
        max_tokens : int
            At least ``n_tokens`` and one for each place.
        side : str
            Where to cut the texts: ``right`` or ``left``.

        Returns
        -------
        list of tokenizers.Encoding
            Of at most ``max_tokens``, of which some may stay free. Where the text stands once these
            are seldom more than two; up to four were seen where it is cut at an emoji, whose tokens
            are given up together.
        """
        cut = list(texts)
        found: list[Any] = [None] * len(texts)
        room = (max_tokens - self.n_tokens(rust)) // self.n_places
        too_long = list(range(len(texts)))
        # Where text and template meet, they may take more tokens together than apart.
        for n_kept in range(room, -1, -1):
            alone = rust.encode_batch([cut[i] for i in too_long], add_special_tokens=False)
            for i, encoding in zip(too_long, alone, strict=True):
                cut[i] = _cut(cut[i], encoding.offsets, n_kept, side)
            whole = [self.around(cut[i]) for i in too_long]
            for i, encoding in zip(too_long, rust.encode_batch_fast(whole), strict=True):
                found[i] = encoding
            too_long = [i for i in too_long if found[i].overflowing]
            if not too_long:
                break
        return found


def warn_of_default_prompt(folder: Path, prompt: str, name: str) -> None:
    """Warn where a model was made for a prompt before every text, and none was asked for.

    Models that have prompts but no default one get no word: which of them, the task decides.

    Parameters
    ----------
    folder : Path
        Where the model lies, or its ``.gguf`` file.
    prompt : str
        What was asked for; ``{text}`` alone asks for none.
    name : str
        For the message.

    Warns
    -----
    UserWarning
        With the prompt.
    """
    usual = _default_prompt(folder)
    if usual and not prompt:
        warnings.warn(
            f"{name} was made for the prompt {usual!r} before every text, which "
            f"sentence-transformers adds by default ({_USUAL}); layerfuse adds none. Pass "
            f"prompt={usual!r} to add it, or prompt={TEXT!r} to silence this.",
            stacklevel=3,
        )


def _default_prompt(folder: Path) -> str:
    """Return the one that stands beside a model, empty if none does or the file is no JSON."""
    try:
        fields = json.loads((folder / _USUAL).read_text("utf-8"))
        found = fields["prompts"][fields["default_prompt_name"]]
    except (OSError, ValueError, KeyError, TypeError):  # nothing else here depends on that file
        return ""
    return found if isinstance(found, str) else ""


def _cut(text: str, offsets: Sequence[tuple[int, int]], n_tokens: int, side: str) -> str:
    """Return the first, or last, tokens of a text as they stand in it."""
    if len(offsets) <= n_tokens:
        return text
    if n_tokens == 0:
        return ""
    if side == "right":
        return text[: offsets[n_tokens - 1][1]]
    return text[offsets[-n_tokens][0] :].lstrip()  # a space belongs to the token behind it
