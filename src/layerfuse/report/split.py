"""``Split``: training and test texts with labels, checked before the long work."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerfuse.core.errors import DataError, LabelError, ShapeError
from layerfuse.core.texts import as_list, as_texts
from layerfuse.data import check_labels
from layerfuse.data.labels import check_present, label_array
from layerfuse.report.facts import DataFacts

_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Training and test texts with their labels.

    Parameters
    ----------
    texts, labels : list of shape (text,)
        Training texts and their labels.
    test_texts, test_labels : list of shape (test text,)
        Test texts and their labels.
    """

    texts: list[str]
    labels: list[Any]
    test_texts: list[str]
    test_labels: list[Any]

    @classmethod
    def of(cls, texts: Any, labels: Any, test_texts: Any, test_labels: Any) -> "Split":
        """Check columns of any kind and return them as a split.

        Raises
        ------
        DataError
            If a text is not a string, or there is no test text.
        ShapeError
            If the numbers of texts and labels differ.
        LabelError
            If no classifier can be trained on the labels, one is missing or does not fit an array,
            or a test label does not occur among the training labels.
        """
        tests = as_list(test_texts, "test texts")
        if not tests:
            raise DataError("Expected at least one test text, got none.")
        train, test = as_texts(texts), as_texts(tests)
        train_truth, test_truth = as_list(labels, "labels"), as_list(test_labels, "test labels")
        for what, side, truth in (("training", train, train_truth), ("test", test, test_truth)):
            if len(side) != len(truth):
                raise ShapeError(
                    f"Expected one label per {what} text, got {len(truth)} for {len(side)} texts."
                )
        check_labels(train_truth)
        train_truth, test_truth = (
            check_present(train_truth),
            check_present(test_truth, "test labels"),
        )
        for column, source in ((train_truth, "labels"), (test_truth, "test labels")):
            label_array(column, source)
        if unknown := set(test_truth) - set(train_truth):
            raise LabelError(_unknown(unknown, set(train_truth)))
        return cls(train, train_truth, test, test_truth)

    def of_rows(self, rows: Sequence[int]) -> "Split":
        """Return the split with only these training texts."""
        texts, labels = ([column[i] for i in rows] for column in (self.texts, self.labels))
        return Split(texts, labels, self.test_texts, self.test_labels)

    def facts(self, name: str) -> DataFacts:
        """Count texts, and repeated ones up to letter case and white space."""
        seen: dict[str, set[Any]] = {}
        n_repeated = n_conflicting = 0
        for text, label in zip(map(_plain, self.texts), self.labels, strict=True):
            before = seen.setdefault(text, set())
            n_repeated += bool(before)
            n_conflicting += bool(before - {label})
            before.add(label)
        return DataFacts(
            name=name,
            n_train=len(self.texts),
            n_test=len(self.test_texts),
            classes=tuple(str(label) for label in sorted(set(self.labels))),
            n_repeated=n_repeated,
            n_conflicting=n_conflicting,
            n_leaked=sum(_plain(text) in seen for text in self.test_texts),
        )


def _unknown(unknown: Collection[Any], known: Collection[Any]) -> str:
    """Return a message with the unknown labels and, if they are only written otherwise, why."""
    msg = f"Test labels that no training text has: {_listed(unknown)}. Known: {_listed(known)}. "
    for key, difference, remedy in (
        (_untyped, "type alone (str, int, float)", "convert one side"),
        (_spelled, "blanks or letter case alone", "spell both alike"),
    ):
        by_meaning = {key(label): label for label in known}
        alike = [label for label in unknown if key(label) in by_meaning]
        if alike:
            label = min(alike, key=repr)
            msg += f"{label!r} and {by_meaning[key(label)]!r} differ in {difference}: {remedy}."
            if len(alike) < len(unknown):
                msg += " Leave out the texts with the other labels, or add training texts for them."
            return msg
    return msg + "Leave out these test texts, or add training texts of these classes."


def _listed(labels: Collection[Any]) -> str:
    """Return the first labels, and an ellipsis if there are more."""
    shown = sorted(map(repr, labels))[:_SHOWN]
    return ", ".join([*shown, "…"] if len(labels) > _SHOWN else shown)


def _untyped(label: Any) -> str:
    """Return a label as a string; a float such as 1.0 as the integer it was read from."""
    letters = str(label)
    return letters.removesuffix(".0") if re.fullmatch(r"-?\d+\.0", letters) else letters


def _spelled(label: Any) -> str:
    return _plain(str(label))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def drawn(labels: Sequence[Any], per_class: int, seed: int) -> list[int]:
    """Return the positions of ``per_class`` texts drawn from each class.

    Parameters
    ----------
    labels : sequence of shape (text,)
        Labels of all texts.
    per_class : int
        Texts to draw of each class, at least 2; a smaller class is taken whole.
    seed : int
        Seed of the draw.

    Returns
    -------
    list of int
        Sorted positions.
    """
    rng = np.random.default_rng(seed)
    column = np.asarray(labels)
    chosen = [
        rng.permutation(np.flatnonzero(column == label))[:per_class] for label in np.unique(column)
    ]
    return sorted(np.concatenate(chosen).tolist())
