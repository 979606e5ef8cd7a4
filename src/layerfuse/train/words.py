"""Words of a text in any script: letters with their marks, and digits."""

import unicodedata
from collections.abc import Callable

from layerfuse.core.texts import encodable

_ACCENTS = {*range(0x300, 0x370), *range(0x590, 0x700)}
"""Marks that many writers leave out: of Latin, Greek and Cyrillic; of Hebrew and Arabic."""

_VARIANTS = range(0xFE00, 0xFE10)
"""Marks that ask for a drawing, as of an emoji in colours."""


class _Characters(dict[int, str]):
    """What becomes of a character, by its code, as ``str.translate`` asks for it."""

    def __init__(self, become: Callable[[str], str]) -> None:
        super().__init__()
        self._become = become

    def __missing__(self, code: int) -> str:
        self[code] = self._become(chr(code))
        return self[code]


def bare_words(text: str) -> list[str]:
    """Return the words of two characters or more, in small letters without accents.

    As TfidfVectorizer reads them when it strips accents, but for marks that are no accents, such as
    vowels in Hindi and Thai: it leaves them out, or takes them for the end of the word.
    """
    return [word for word in _normal(text).translate(_BARE).split() if len(word) > 1]


def words_and_symbols(text: str) -> list[str]:
    """Return the words of a text in small letters, and each of its symbols, emoji among them.

    Of a text without any, such as ``:)``, what stands between its spaces.
    """
    return _normal(text).translate(_WITH_SYMBOLS).split() or encodable(text).split()


def _normal(text: str) -> str:
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
    # Punctuation and separators, control, format and halves of surrogate pairs; what is unassigned
    # may be an emoji of next year.
    kind = unicodedata.category(character)
    return " " if kind[0] in "PZ" or kind in {"Cc", "Cf", "Cs"} else f" {character} "


def _is_of_words(character: str) -> bool:
    return character.isalnum() or character == "_" or _is_mark(character)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


_BARE = _Characters(_bare)
_WITH_SYMBOLS = _Characters(_with_symbols)
