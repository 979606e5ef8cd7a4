"""Words of a text in any script: letters with their marks, and digits."""

import unicodedata
from collections.abc import Callable

from layerfuse.core.texts import encodable

_ACCENTS = {*range(0x300, 0x370), *range(0x590, 0x700)}
"""Marks that many writers leave out, of Latin, Greek and Cyrillic and of Hebrew and Arabic."""

_VARIANTS = range(0xFE00, 0xFE10)
"""Variation selectors, which only choose how a character is drawn, such as an emoji in colour."""


class _Characters(dict[int, str]):
    """Replacement of each character by its code point, computed when ``str.translate`` needs it."""

    def __init__(self, replacement: Callable[[str], str]) -> None:
        super().__init__()
        self._replacement = replacement

    def __missing__(self, code: int) -> str:
        self[code] = self._replacement(chr(code))
        return self[code]


def bare_words(text: str) -> list[str]:
    """Return the words of two characters or more, in lower case without accents.

    These are the words of TfidfVectorizer with stripped accents, except that marks which are no
    accents are kept, such as vowels in Hindi and Thai. TfidfVectorizer drops them or ends the word
    there.
    """
    return [word for word in lower_case(text).translate(_BARE).split() if len(word) > 1]


def words_and_symbols(text: str) -> list[str]:
    """Return the words of a text in lower case, and each of its symbols, such as emoji.

    A text without words and symbols, such as ``:)``, is split at its spaces.
    """
    return lower_case(text).translate(_WITH_SYMBOLS).split() or encodable(text).split()


def lower_case(text: str) -> str:
    """Return a text in lower case, in which equal characters have equal codes (NFC)."""
    return unicodedata.normalize("NFC", text.lower())


def _bare(character: str) -> str:
    if _is_mark(character):
        return "" if ord(character) in _ACCENTS or ord(character) in _VARIANTS else character
    parts = [c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c)]
    return "".join(c if _is_of_words(c) else " " for c in parts)


def _with_symbols(character: str) -> str:
    if ord(character) in _VARIANTS:
        return ""
    if _is_of_words(character):
        return character
    # Dropped: punctuation, separators, control and format characters, and lone surrogates.
    # Unassigned characters are kept, because they may become emoji.
    kind = unicodedata.category(character)
    return " " if kind[0] in "PZ" or kind in {"Cc", "Cf", "Cs"} else f" {character} "


def _is_of_words(character: str) -> bool:
    return character.isalnum() or character == "_" or _is_mark(character)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


_BARE = _Characters(_bare)
_WITH_SYMBOLS = _Characters(_with_symbols)
