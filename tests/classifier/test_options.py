"""What "auto" means for a selector: fewer layers on few texts, and so many as asked for."""

import pytest

from layerfuse.classifier.options import FEW_TEXTS, chosen_selector
from layerfuse.core.errors import SelectionError


@pytest.mark.parametrize(
    ("k", "n_texts", "selector"),
    [
        (None, FEW_TEXTS - 1, "upper_top"),
        (None, FEW_TEXTS, "upper_half"),
        (3, FEW_TEXTS, "upper_top"),
    ],
)
def test_auto_looks_at_the_texts_and_at_k(k, n_texts, selector):
    assert chosen_selector("auto", k, n_texts) == selector
    assert chosen_selector("greedy", k, n_texts) == "greedy"


@pytest.mark.parametrize("criterion", ["importance", "rankme", lambda features, labels: 0.0])
def test_numbers_that_tell_nothing_between_backbones_choose_none_of_them(criterion):
    assert chosen_selector("auto", None, 10, criterion) == "upper_half"


def test_a_classifier_chooses_as_its_selector_does(make, toy):
    texts, labels = toy(40, seed=0)
    auto, few, half = (
        make(selector=selector).fit(texts, labels).selection_
        for selector in ("auto", "upper_top", "upper_half")
    )
    assert auto == few
    assert set(few.refs) < set(half.refs)
    more = make(k=3).fit(texts, labels).selection_
    assert len(more) == 3
    assert set(few.refs) <= set(more.refs)


@pytest.mark.parametrize(
    ("selector", "k", "message"),
    [
        ("upper_half", 2, "has no k"),
        ("auto", 5, "4 layers in the upper halves"),  # 2 and 3 under two poolings
        ("upper_top", 0, "Choose 1 to 4"),
        ("top", 9, "8 layers in all"),
        ("best", 9, "8 layers in the smallest backbone"),
    ],
)
def test_a_k_that_no_scores_could_satisfy_is_refused_before_anything_is_embedded(
    make, toy, monkeypatch, selector, k, message
):
    monkeypatch.setattr("layerfuse.classifier.estimator.embed_to_store", None)
    with pytest.raises(SelectionError, match=message):
        make(selector=selector, k=k).fit(*toy(20, seed=0))
