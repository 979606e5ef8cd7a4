"""repeat_groups against a plain comparison of all pairs."""

import itertools
import re

import networkx as nx
import numpy as np
import pytest

from layerfuse.train.repeats import repeat_groups


def plain_groups(texts):
    """Return the groups by comparing sets of word runs, pair by pair."""
    runs = []
    for text in texts:
        words = re.findall(r"\w+", text.lower())
        runs.append({tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))})
    graph = nx.Graph()
    graph.add_nodes_from(range(len(texts)))
    for i, j in itertools.combinations(range(len(texts)), 2):
        if len(runs[i] & runs[j]) > min(len(runs[i]), len(runs[j])) / 2:
            graph.add_edge(i, j)
    return {frozenset(group) for group in nx.connected_components(graph)}


def as_sets(groups):
    return {frozenset(np.flatnonzero(groups == group).tolist()) for group in np.unique(groups)}


def phrases(n_sentences, seed=0):
    """Return phrases of one to twenty words, cut from sentences of few words."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n_sentences):
        words = rng.choice([f"w{i}" for i in range(12)], 20)
        for _ in range(6):
            start = rng.integers(15)
            found.append(" ".join(words[start : start + rng.integers(1, 20)]))
    return found


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_groups_are_those_of_all_pairs_compared(seed):
    texts = phrases(40, seed)
    groups = repeat_groups(texts)
    assert as_sets(groups) == plain_groups(texts)
    assert 1 < len(np.unique(groups)) < len(texts)


def test_many_texts_are_compared_across_blocks(monkeypatch):
    monkeypatch.setattr("layerfuse.train.repeats._ROWS", 7)
    texts = phrases(30)
    assert as_sets(repeat_groups(texts)) == plain_groups(texts)


def test_what_a_text_repeats_itself_counts_once():
    chants = ["ha " * 10, "ha " * 12, "buy cheap pills now " * 8, "buy cheap pills now " * 9]
    assert as_sets(repeat_groups(chants)) == {frozenset({0, 1}), frozenset({2, 3})}
    assert as_sets(repeat_groups(chants)) == plain_groups(chants)


def test_case_punctuation_and_spaces_make_no_difference():
    groups = repeat_groups(["Good, film!", "good film", "a bad film", " GOOD\nfilm "])
    np.testing.assert_array_equal(groups[[0, 1, 3]], groups[0])
    assert groups[2] != groups[0]


def test_a_phrase_of_a_form_makes_no_near_duplicates():
    """A sequence in more than 64 texts does not count, but equal texts do, however many."""
    form = [f"we are sorry to hear of item{i}" for i in range(65)]
    assert len(np.unique(repeat_groups(form))) == 65
    assert len(np.unique(repeat_groups(form[:64]))) == 1
    assert len(np.unique(repeat_groups(["the same"] * 200))) == 1


def test_texts_in_any_script():
    assert repeat_groups(["lone \ud800", "lone", "\ud800"]).tolist() == [0, 0, 1]
    assert repeat_groups(["好电影。", "好电影", "坏电影"]).tolist() == [0, 0, 1]
    for text in ("अच्छा", "ดี", "\U0001f600", "C++", "$"):
        assert repeat_groups([text, f" {text}!", text.lower()]).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "texts",
    [
        ["अच्छा", "अच्छी", "अच्छे"],
        ["ดี", "ดู"],
        ["\U0001f600", "\U0001f622", "\U0001f600 \U0001f622"],
        [":)", ":(", "!", "..."],
        ["C++", "C#"],
        ["<", ">", "="],
    ],
)
def test_texts_that_differ_in_marks_or_symbols_alone_are_no_repeats(texts):
    assert repeat_groups(texts).tolist() == [*range(len(texts))]
