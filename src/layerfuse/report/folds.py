"""Splits for cross-validation: every text is tested on once."""

import dataclasses
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from layerfuse.core.errors import DataError, ShapeError
from layerfuse.core.texts import as_list, as_texts
from layerfuse.data.labels import check_groups, check_present
from layerfuse.report.facts import DataFacts
from layerfuse.report.split import Split


def fold_splits(
    texts: Any, labels: Any, n_folds: int, *, groups: Any = None, random_state: int = 0
) -> tuple[Split, ...]:
    """Split texts into folds, each tested on by what is trained on all others.

    Parameters
    ----------
    texts, labels : columns of shape (text,)
        As in ``FusionClassifier.fit``.
    n_folds : int
        At least 2. Classes have about the same share in each.
    groups : column of shape (text,), optional
        Texts of one group, such as an author, stay in one fold.
    random_state : int
        Draws the folds.

    Returns
    -------
    tuple of Split
        One per fold.

    Raises
    ------
    DataError
        If there are fewer texts or groups than folds, or a class has no text outside some fold, or
        fewer than two classes have two texts there.
    ShapeError
        If there are fewer than two folds, or not a label and a group per text.
    LabelError
        If nothing can be trained on the labels; if a group is missing, or they are not of one type.
    """
    if n_folds < 2:  # noqa: PLR2004
        raise ShapeError(f"Expected at least 2 folds, got {n_folds}.")
    column, truth = as_list(texts, "texts"), as_list(labels, "labels")
    whole = Split.of(column, truth, column, truth)
    own = None if groups is None else check_groups(as_list(groups, "groups"))
    if own is not None and len(own) != len(whole.texts):
        raise ShapeError(f"Expected a group per text, got {len(own)} for {len(whole.texts)}.")
    sides = _sides(whole.labels, n_folds, own, random_state)
    return tuple(
        _split(whole, train, test, number) for number, (train, test) in enumerate(sides, 1)
    )


def _sides(
    labels: Sequence[Any], n_folds: int, groups: Sequence[Any] | None, random_state: int
) -> list[tuple[list[int], list[int]]]:
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(n_folds, shuffle=True, random_state=random_state)
    with warnings.catch_warnings():
        # That some class has fewer texts than there are folds is no trouble: see _split.
        warnings.filterwarnings("ignore", message="The least populated class")
        try:
            sides = list(splitter.split(np.zeros(len(labels)), np.array(labels), groups))
        except ValueError as err:
            what = "texts" if groups is None else "texts and groups"
            raise DataError(
                f"{len(labels)} {what} cannot be split into {n_folds} folds: {err} Ask for fewer "
                "folds, or give test texts."
            ) from err
    return [(train.tolist(), test.tolist()) for train, test in sides]


def _split(whole: Split, train: Sequence[int], test: Sequence[int], number: int) -> Split:
    counts = Counter(whole.labels[i] for i in train)
    lost = [label for label in dict.fromkeys(whole.labels) if not counts[label]]
    if lost:
        raise DataError(
            f"Expected a text of every class outside each fold; of class {lost[0]!r}, which has "
            f"{whole.labels.count(lost[0])}, none lies outside fold {number}. Add texts of it, "
            "leave it out, or give test texts."
        )
    if sum(count > 1 for count in counts.values()) < 2:  # noqa: PLR2004
        raise DataError(
            f"Outside fold {number} there are not two classes of two texts or more, which training "
            "needs: to learn from, and to validate by. Ask for more folds, add texts, or give test "
            "texts."
        )
    if not test:
        raise DataError(
            f"Expected texts in every fold, but fold {number} is empty. Ask for fewer folds."
        )
    return Split(
        [whole.texts[i] for i in train],
        [whole.labels[i] for i in train],
        [whole.texts[i] for i in test],
        [whole.labels[i] for i in test],
    )


def joined(texts: Any, labels: Any, splits: Sequence[Split]) -> Split:
    """Return the whole: all texts to train on, as they came, and to test on, as predictions come.

    Parameters
    ----------
    texts, labels : columns of shape (text,)
        As ``fold_splits`` got them: what is fitted may depend on their order.
    splits : sequence of Split
        What it gave. Test texts stand fold by fold.
    """
    return Split(
        as_texts(texts),
        check_present(as_list(labels, "labels")),
        [text for split in splits for text in split.test_texts],
        [label for split in splits for label in split.test_labels],
    )


def pooled_facts(whole: Split, splits: Sequence[Split], name: str) -> DataFacts:
    """Count over all folds; a text is leaked if it also stands outside its own."""
    facts = whole.facts(name)
    if len(splits) == 1:
        return facts
    n_leaked = sum(split.facts(name).n_leaked for split in splits)
    return dataclasses.replace(facts, n_leaked=n_leaked, n_folds=len(splits))
