"""Words against scikit-learn's on scripts that it reads well, and against writers of the others."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from layerfuse.train.words import bare_words, words_and_symbols

SCRIPTS = {
    "ASCII": (0x20, 0x7F),
    "Latin": (0x20, 0x250),
    "Latin with accents of their own": (0x61, 0x34F),
    "Greek and Cyrillic": (0x370, 0x483),
    "Hebrew and Arabic": (0x5D0, 0x6FF),
    "Japanese": (0x3040, 0x3099),
    "Korean": (0xAC00, 0xB000),
    "symbols": (0x2010, 0x20D0),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_bare_words_are_those_of_scikit_learn_where_marks_are_accents(script):
    theirs = TfidfVectorizer(strip_accents="unicode").build_analyzer()
    rng = np.random.default_rng(0)
    for codes in rng.integers(*SCRIPTS[script], size=(300, 40)):
        text = "".join(" " if rng.random() < 0.15 else chr(code) for code in codes)
        assert bare_words(text) == theirs(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("फिल्म बहुत अच्छी है।", ["फिल्म", "बहुत", "अच्छी", "है"]),
        ("படம் நல்லது", ["படம்", "நல்லது"]),
        ("หนังดี หนังดู", ["หนังดี", "หนังดู"]),
        ("U\u0308nu\u0308", ["unu"]),
    ],
)
def test_marks_belong_to_their_word(text, words):
    assert bare_words(text) == words
    if "u" not in words[0]:
        assert words_and_symbols(text) == words


def test_equal_characters_in_other_codes_are_the_same_words():
    assert bare_words("\u0958\u0932\u092e") == bare_words("\u0915\u093c\u0932\u092e")
    assert words_and_symbols("cafe\u0301") == words_and_symbols("café") == ["café"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Good, film_2!", ["good", "film_2"]),
        ("C++ or C#", ["c", "+", "+", "or", "c"]),
        ("wow\U0001f600\U0001f600", ["wow", "\U0001f600", "\U0001f600"]),
        ("\u2764\ufe0f", ["\u2764"]),
        (":) :(", [":)", ":("]),
        ("", []),
        ("lone \ud800", ["lone"]),
        ("\ud800 :)", ["?", ":)"]),
    ],
)
def test_symbols_are_words_and_punctuation_is_where_there_is_nothing_else(text, words):
    assert words_and_symbols(text) == words
