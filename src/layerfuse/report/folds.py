"""Splits for cross-validation: each text is a test text once."""

import dataclasses
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from layerfuse.core.errors import DataError, ShapeError
from layerfuse.core.texts import as_list
from layerfuse.data.labels import check_groups
from layerfuse.report.facts import DataFacts
from layerfuse.report.split import Split


def fold_splits(
    texts: Any, labels: Any, n_folds: int, *, groups: Any = None, random_state: int = 0
) -> tuple[Split, tuple[Split, ...]]:
    """Split texts into folds stratified by class.

    Parameters
    ----------
    texts, labels : columns of shape (text,)
        As in ``FusionClassifier.fit``.
    n_folds : int
        Number of folds, at least 2.
    groups : column of shape (text,), optional
        Texts of one group, such as an author, stay in one fold.
    random_state : int
        Seed of the folds.

    Returns
    -------
    whole : Split
        All texts as training texts, in the order given, on which fits may depend; and as test
        texts, in the order of the folds, as pooled predictions are.
    splits : tuple of Split
        One per fold: its texts are the test texts, all others the training texts.

    Raises
    ------
    DataError
        If there are fewer texts or groups than folds, a class has no text outside some fold, or
        fewer than two classes have two texts there.
    ShapeError
        If there are fewer than two folds, or the numbers of texts, labels and groups differ.
    LabelError
        If no classifier can be trained on the labels, a group is missing, or groups mix types.
    """
    if n_folds < 2:  # noqa: PLR2004
        raise ShapeError(f"Expected at least 2 folds, got {n_folds}.")
    column, truth = as_list(texts, "texts"), as_list(labels, "labels")
    whole = Split.of(column, truth, column, truth)
    checked = None if groups is None else check_groups(as_list(groups, "groups"))
    if checked is not None and len(checked) != len(whole.texts):
        raise ShapeError(
            f"Expected one group per text, got {len(checked)} for {len(whole.texts)} texts."
        )
    sides = _sides(whole.labels, n_folds, checked, random_state)
    splits = tuple(
        _split(whole, train, test, number) for number, (train, test) in enumerate(sides, 1)
    )
    pooled = dataclasses.replace(
        whole,
        test_texts=[text for split in splits for text in split.test_texts],
        test_labels=[label for split in splits for label in split.test_labels],
    )
    return pooled, splits


def _sides(
    labels: Sequence[Any], n_folds: int, groups: Sequence[Any] | None, random_state: int
) -> list[tuple[list[int], list[int]]]:
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(n_folds, shuffle=True, random_state=random_state)
    with warnings.catch_warnings():
        # A class may have fewer texts than there are folds; _split checks what matters.
        warnings.filterwarnings("ignore", message="The least populated class")
        try:
            sides = list(splitter.split(np.zeros(len(labels)), np.array(labels), groups))
        except ValueError as err:
            what = "texts" if groups is None else "texts and groups"
            raise DataError(
                f"{len(labels)} {what} cannot be split into {n_folds} folds: {err} Use fewer "
                "folds, or give test texts."
            ) from err
    return [(train.tolist(), test.tolist()) for train, test in sides]


def _split(whole: Split, train: Sequence[int], test: Sequence[int], number: int) -> Split:
    counts = Counter(whole.labels[i] for i in train)
    lost = [label for label in dict.fromkeys(whole.labels) if not counts[label]]
    if lost:
        raise DataError(
            f"Expected a text of every class outside each fold, but fold {number} contains all "
            f"{whole.labels.count(lost[0])} texts of class {lost[0]!r}. Add texts of this class, "
            "leave it out, or give test texts."
        )
    if sum(count > 1 for count in counts.values()) < 2:  # noqa: PLR2004
        raise DataError(
            f"Training and validation need two classes of two texts or more, but outside fold "
            f"{number} there are fewer. Use more folds, add texts, or give test texts."
        )
    if not test:
        raise DataError(
            f"Expected texts in every fold, but fold {number} is empty. Use fewer folds."
        )
    return Split(
        [whole.texts[i] for i in train],
        [whole.labels[i] for i in train],
        [whole.texts[i] for i in test],
        [whole.labels[i] for i in test],
    )


def pooled_facts(whole: Split, splits: Sequence[Split], name: str) -> DataFacts:
    """Count over all folds; a text is leaked if it also occurs outside its own fold."""
    facts = whole.facts(name)
    if len(splits) == 1:
        return facts
    n_leaked = sum(split.facts(name).n_leaked for split in splits)
    return dataclasses.replace(facts, n_leaked=n_leaked, n_folds=len(splits))
