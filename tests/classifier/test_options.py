"""What "auto" means for a selector: fewer layers on few texts, and so many as asked for."""

import pytest

from layerfuse.classifier.options import FEW_TEXTS, chosen_selector


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
