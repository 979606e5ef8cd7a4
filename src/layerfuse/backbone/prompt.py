"""What stands around every text, and texts cut so that nothing of it is cut off."""

from dataclasses import dataclass
from typing import Any

TEXT = "{text}"
"""Marks the place of the text in a prompt."""


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
        """Read what a user wrote: without ``{text}`` it is put before the text."""
        return cls(prompt if TEXT in prompt else prompt + TEXT)

    def around(self, text: str) -> str:
        """Return the template with a text in its place."""
        return self.template.replace(TEXT, text)

    def survives(self, side: str) -> bool:
        """Tell whether cutting the whole at this side cuts nothing but text."""
        text_is_cut = self.template.endswith if side == "right" else self.template.startswith
        return self.template.count(TEXT) == 1 and text_is_cut(TEXT)

    def n_tokens(self, rust: Any) -> int:
        """Return how many tokens a text of none takes."""
        return len(rust.encode(self.around(""), add_special_tokens=True).ids)

    def encode_cut(self, rust: Any, text: str, max_tokens: int, side: str) -> Any:
        """Return the encoding of the template around as much of a text as fits.

        Parameters
        ----------
        rust : tokenizers.Tokenizer
            Truncates at ``max_tokens``. Others may use it too: no setting of it is changed.
        text : str
            Too long to fit whole.
        max_tokens : int
            More than ``n_tokens``.
        side : str
            Where to cut the text: ``right`` or ``left``.

        Returns
        -------
        tokenizers.Encoding
            Of at most ``max_tokens``; the last token or two may stay free.
        """
        room = (max_tokens - self.n_tokens(rust)) // self.template.count(TEXT)
        # Where text and template meet, they may take more tokens together than apart.
        for n_tokens in range(room, -1, -1):
            text = _cut(rust, text, n_tokens, side)
            encoding = rust.encode(self.around(text), add_special_tokens=True)
            if not encoding.overflowing:
                break
        return encoding


def _cut(rust: Any, text: str, n_tokens: int, side: str) -> str:
    """Return the first, or last, tokens of a text as they stand in it."""
    offsets = rust.encode(text, add_special_tokens=False).offsets
    if n_tokens == 0 or not offsets:
        return ""
    if side == "right":
        return text[: offsets[:n_tokens][-1][1]]
    return text[offsets[-n_tokens:][0][0] :]
