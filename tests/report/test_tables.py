"""Tables of scores and trials: bars from worst to best, chosen layers marked."""

import pytest

from layerfuse.classifier.fusing import FusionTrial
from layerfuse.core.layers import LayerRef
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection
from layerfuse.report import score_table, trial_table


def scores(values):
    return LayerScores(
        "loo_ridge", tuple(LayerRef("toy", i, "mean") for i in range(len(values))), values
    )


def test_score_table_has_bars_and_marks_the_selection():
    table = score_table(scores((-0.5, -0.1, -0.3)), Selection((LayerRef("toy", 1, "mean"),), "why"))
    assert table.splitlines() == [
        "layer       loo_ridge                in use",
        "----------  ---------  ------------  ------",
        "toy:0:mean    -0.5000",
        "toy:1:mean    -0.1000  ############  *",
        "toy:2:mean    -0.3000  ######",
    ]


def test_score_table_without_a_selection_marks_nothing():
    assert "*" not in score_table(scores((0.1, 0.2)))


@pytest.mark.parametrize(("share", "length"), [(0.04, 0), (0.05, 1), (0.95, 11), (0.97, 12)])
def test_bars_are_rounded_to_the_nearest_length(share, length):
    assert score_table(scores((0.0, share, 1.0))).splitlines()[3].count("#") == length


def test_control_characters_in_a_name_are_removed_from_the_table():
    refs = (LayerRef("to\ny\x1b[2J", 0, "mean"), LayerRef("toy", 1, "mean"))
    table = score_table(LayerScores("loo_ridge", refs, (0.1, 0.2)))
    assert len(table.splitlines()) == 4
    assert "\x1b" not in table


def test_score_table_of_equal_scores_has_no_bars():
    assert "#" not in score_table(scores((0.1, 0.1)))


def test_trial_table_shows_gains_over_the_best_before_and_the_one_in_use():
    trials = [
        FusionTrial("concat", 0.5, 0.81, 0.0, 3.2),
        FusionTrial("stacking", 0.4, 0.835, 2.25, 12.0),
        FusionTrial("gated", 0.41, 0.8, -0.5, 100.0),
    ]
    rows = [line.split() for line in trial_table(trials, "stacking").splitlines()[2:]]
    assert rows == [
        ["concat", "0.5000", "81.0%", "3"],
        ["stacking", "0.4000", "83.5%", "+2.2", "12", "*"],
        ["gated", "0.4100", "80.0%", "-0.5", "100"],
    ]
