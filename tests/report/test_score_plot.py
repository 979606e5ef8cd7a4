"""score_plot: well-formed, placed by the numbers, and within its frame."""

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from layerfuse.core.choice import LayerChoice
from layerfuse.core.errors import SelectionError, ShapeError
from layerfuse.core.layers import LayerRef
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection, Stability
from layerfuse.report import score_plot
from layerfuse.report.drawing import round_numbers

SVG = "{http://www.w3.org/2000/svg}"


def choice(values=(-0.5, -0.1, -0.3), errors=(), backbone="toy", chosen=1, stability=None):
    refs = tuple(LayerRef(backbone, i, "mean") for i in range(len(values)))
    scores = LayerScores("loo_ridge", refs, tuple(values), tuple(errors))
    return LayerChoice(scores, Selection((refs[chosen],), "why"), stability)


def draw(*choices, title="Layers of toys"):
    return ET.fromstring(score_plot(choices, title))


def circles(tree):
    """Centres of the points by layer."""
    found = {}
    for mark in tree.iter(f"{SVG}circle"):
        name = mark.findtext(f"{SVG}title")
        if name:
            found[name.rsplit(": ", 1)[0]] = (float(mark.get("cx")), float(mark.get("cy")))
    return found


def test_points_are_placed_by_their_scores():
    values = (-0.5, -0.1, -0.3, -0.2)
    places = np.array(list(circles(draw(choice(values))).values()))
    assert np.corrcoef(places[:, 1], values)[0, 1] == pytest.approx(-1, abs=1e-4)  # y points down
    assert np.diff(places[:, 0]) == pytest.approx([np.diff(places[:, 0])[0]] * 3, abs=0.11)


def test_ticks_are_placed_by_their_numbers():
    tree = draw(choice((0.0, 0.4, 1.0)))
    points = circles(tree)
    ticks = {
        float(t.text): float(t.get("y")) - 4
        for t in tree.iter(f"{SVG}text")
        if t.get("text-anchor") == "end"
    }
    assert ticks[0.0] == pytest.approx(points["toy:0:mean"][1], abs=0.2)
    assert ticks[0.4] == pytest.approx(points["toy:1:mean"][1], abs=0.2)


def test_backbones_of_different_depths_share_the_axis_of_relative_depth():
    refs = [LayerRef("short", i, "mean") for i in range(3)]
    refs += [LayerRef("long", i, "mean") for i in range(9)]
    scores = LayerScores("c", tuple(refs), tuple(map(float, range(12))))
    points = circles(draw(LayerChoice(scores, Selection((refs[0],), "why"))))
    assert points["short:2:mean"][0] == points["long:8:mean"][0]
    assert points["short:1:mean"][0] == points["long:4:mean"][0]


def test_a_layer_keeps_its_depth_if_a_criterion_scores_only_some_layers():
    whole = choice((0.1, 0.2, 0.3, 0.4, 0.5))
    inner = LayerScores("curvature", whole.scores.refs[1:-1], (1.0, 2.0, 3.0))
    part = LayerChoice(inner, Selection(inner.refs[:1], "why"))
    apart = circles(draw(whole))
    for drawn in (draw(whole, part), draw(part, whole)):
        places = [
            (mark.findtext(f"{SVG}title").split(": ")[0], float(mark.get("cx")))
            for mark in drawn.iter(f"{SVG}circle")
            if mark.findtext(f"{SVG}title")
        ]
        assert len(places) == 8
        assert all(x == apart[name][0] for name, x in places)
    alone = circles(ET.fromstring(score_plot([part], "t", depths={"toy": 4})))
    assert all(x == apart[name][0] for name, (x, _) in alone.items())


def test_chosen_layers_are_marked_by_a_ring():
    marks = [m for m in draw(choice(chosen=2)).iter(f"{SVG}circle") if m.get("class") == "chosen"]
    assert [mark.findtext(f"{SVG}title").split(": ")[0] for mark in marks] == ["toy:2:mean"]


def test_tooltips_of_points_show_score_and_stability():
    scores = choice().scores
    stability = Stability(scores.refs, (0.0, 0.75, 0.25), (0.1, 0.1, 0.1), 4)
    svg = score_plot([choice(stability=stability)], "t")
    assert "toy:1:mean: -0.1, 75% of resamples" in svg


def test_a_band_is_drawn_if_standard_errors_are_known():
    scores = choice().scores
    stability = Stability(scores.refs, (0.0, 0.75, 0.25), (0.1, 0.1, 0.1), 4)
    drawn = [
        "95 % interval" in score_plot([one], "t")
        for one in (choice(), choice(errors=(0.1, 0.1, 0.1)), choice(stability=stability))
    ]
    assert drawn == [False, True, True]


def test_a_band_is_the_95_percent_interval():
    tree = draw(choice((0.0, 1.0, 0.5), errors=(0.1, 0.1, 0.1)))
    points = circles(tree)
    unit = points["toy:0:mean"][1] - points["toy:1:mean"][1]
    (band,) = [p.get("d") for p in tree.iter(f"{SVG}path") if p.get("fill-opacity")]
    corners = [tuple(map(float, c.split())) for c in band[1:-1].split("L")]
    assert corners[-1][1] - corners[0][1] == pytest.approx(2 * 1.96 * 0.1 * unit, abs=0.2)


@pytest.mark.parametrize("n_backbones", [1, 9])
@pytest.mark.parametrize(
    "values", [(1e-9, 2e-9, 3e-9), (-1e6, 0.0, 2e6), (0.5, 0.5, 0.5), (7.0,) * 3]
)
def test_everything_is_drawn_within_the_frame(values, n_backbones):
    refs = [LayerRef(f"b{b}", i, "mean") for b in range(n_backbones) for i in range(3)]
    scores = LayerScores("c", tuple(refs), values * n_backbones, (0.0,) * len(refs))
    tree = draw(LayerChoice(scores, Selection((refs[0],), "why")))
    width, height = map(float, tree.get("viewBox").split()[2:])
    for x, y in circles(tree).values():
        assert 0 <= x <= width
        assert 0 <= y <= height
    for text in tree.iter(f"{SVG}text"):
        assert 0 <= float(text.get("y")) <= height


@pytest.mark.parametrize("name", ["a<b>&\"c'", "organisation/" + "very-" * 30 + "long-name"])
def test_names_and_titles_are_escaped_and_shortened(name):
    tree = draw(choice(backbone=name), title=name)
    texts = [t.text for t in tree.iter(f"{SVG}text")]
    assert any(name[-10:] in text for text in texts[:1])
    assert any(f"{name[-10:]}, mean" in text for text in texts)
    assert max(map(len, texts)) <= 52
    assert f"{name}:0:mean" in circles(tree)


def test_panels_of_several_criteria_are_stacked():
    one, two = (float(draw(*[choice()] * n).get("viewBox").split()[3]) for n in (1, 2))
    assert two > one + 150


@pytest.mark.parametrize("low", [-3.0, 0.0, 1e-4, 123.0])
@pytest.mark.parametrize("width", [1e-3, 0.07, 1.0, 999.0])
def test_ticks_are_round_few_and_within_the_range(low, width):
    ticks = round_numbers(low, low + width)
    assert 2 <= len(ticks) <= 7
    assert low - 1e-9 <= ticks[0] < ticks[-1] <= low + width + 1e-9
    assert re.match(r"[125]\.0*e", f"{ticks[1] - ticks[0]:.6e}")


@pytest.mark.parametrize("poolings", [("mean",), ("mean", "first"), ("mean", "first", "max")])
def test_twelve_backbones_have_distinct_marks(poolings):
    refs = tuple(LayerRef(f"b{i}", n, p) for i in range(12) for p in poolings for n in (0, 1))
    scores = LayerScores("loo_ridge", refs, tuple(float(i) for i in range(len(refs))))
    tree = draw(LayerChoice(scores, Selection(refs[:1], "why")))
    lines = [
        (path.get("stroke"), path.get("stroke-dasharray"))
        for path in tree.iter(f"{SVG}path")
        if path.get("stroke-width") == "1.6"
    ]
    assert len(set(lines)) == len(lines) == 12 * len(poolings)


def test_a_plot_of_no_choice_is_refused():
    with pytest.raises(ShapeError, match="at least one LayerChoice"):
        score_plot([], "t")


def test_a_layer_choice_refuses_layers_that_were_not_scored():
    scores, stranger = choice().scores, LayerRef("other", 0, "mean")
    with pytest.raises(SelectionError, match="Chosen, but not scored: other:0:mean"):
        LayerChoice(scores, Selection((stranger,), "why"))
    with pytest.raises(SelectionError, match="stability of exactly the scored layers"):
        LayerChoice(
            scores,
            Selection(scores.refs[:1], "why"),
            Stability((stranger,), (1.0,), (0.1,), 1),
        )
