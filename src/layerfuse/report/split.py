"""``Split``: training and test texts with labels, checked before anything costs time."""

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
    """What is trained and what is tested on.

    Parameters
    ----------
    texts, labels : list of shape (text,)
        Training texts.
    test_texts, test_labels : list of shape (test text,)
        Test texts.
    """

    texts: list[str]
    labels: list[Any]
    test_texts: list[str]
    test_labels: list[Any]

    @classmethod
    def of(cls, texts: Any, labels: Any, test_texts: Any, test_labels: Any) -> "Split":
        """Check columns of any kind.

        Raises
        ------
        DataError
            If a text is no string, or there is no test text.
        ShapeError
            If there is not a label per text.
        LabelError
            If nothing can be trained on the labels, one is missing or fits no array, or a test
            label never occurs among the training labels.
        """
        tests = as_list(test_texts, "test texts")
        if not tests:
            raise DataError("Expected at least one test text, got none.")
        train, test = as_texts(texts), as_texts(tests)
        own, others = as_list(labels, "labels"), as_list(test_labels, "test labels")
        for what, some, their in (("training", train, own), ("test", test, others)):
            if len(some) != len(their):
                raise ShapeError(
                    f"Expected a label per {what} text, got {len(their)} for {len(some)}."
                )
        check_labels(own)
        own, others = check_present(own), check_present(others, "test labels")
        for column, source in ((own, "labels"), (others, "test labels")):
            label_array(column, source)
        if unknown := set(others) - set(own):
            raise LabelError(_unknown(unknown, set(own)))
        return cls(train, own, test, others)

    def of_rows(self, rows: Sequence[int]) -> "Split":
        """Return the split with some of the training texts only."""
        texts, labels = ([column[i] for i in rows] for column in (self.texts, self.labels))
        return Split(texts, labels, self.test_texts, self.test_labels)

    def facts(self, name: str) -> DataFacts:
        """Count, and look for texts that stand twice; letter case and white space do not count."""
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
    """Say which labels no training text has, and what to do: some are but written otherwise."""
    msg = f"Test labels that no training text has: {_listed(unknown)}. Known: {_listed(known)}. "
    for key, difference, remedy in (
        (_untyped, "type alone (str, int, float)", "cast one side"),
        (_spelled, "blanks or letter case alone", "write one as the other"),
    ):
        by_meaning = {key(label): label for label in known}
        alike = [label for label in unknown if key(label) in by_meaning]
        if alike:
            label = min(alike, key=repr)
            msg += f"{label!r} and {by_meaning[key(label)]!r} differ in {difference}: {remedy}."
            if len(alike) < len(unknown):
                msg += " Leave texts of the others out, or add training texts of these."
            return msg
    return msg + "Leave these texts out, or add training texts of these classes."


def _listed(labels: Collection[Any]) -> str:
    """Return the first labels, and a mark where there are more."""
    shown = sorted(map(repr, labels))[:_SHOWN]
    return ", ".join([*shown, "…"] if len(labels) > _SHOWN else shown)


def _untyped(label: Any) -> str:
    """Return the letters of a label, those of an integer where it is one that was read as float."""
    letters = str(label)
    return letters.removesuffix(".0") if re.fullmatch(r"-?\d+\.0", letters) else letters


def _spelled(label: Any) -> str:
    return _plain(str(label))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def drawn(labels: Sequence[Any], per_class: int, seed: int) -> list[int]:
    """Return positions of so many texts of each class, or of all where a class has fewer.

    Parameters
    ----------
    labels : sequence of shape (text,)
        Of all texts.
    per_class : int
        Texts wanted of each class, at least 2.
    seed : int
        Draws them.

    Returns
    -------
    list of int
        Sorted.
    """
    rng = np.random.default_rng(seed)
    column = np.asarray(labels)
    chosen = [
        rng.permutation(np.flatnonzero(column == label))[:per_class] for label in np.unique(column)
    ]
    return sorted(np.concatenate(chosen).tolist())
