"""Plots of a report: well-formed, within their frames, and placed by the numbers."""

import dataclasses
import itertools
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from layerfuse.report.drawing import enclose
from layerfuse.report.html import report_html
from layerfuse.report.plots import heatmap, of_layers, of_predictions
from layerfuse.report.plots.points import Point, Series, points_plot, scale
from layerfuse.report.plots.rows import Mark, Row, rows_plot

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def report(make_report):
    return make_report()


def titles(tree):
    """Return the drawn elements by their tooltips."""
    return {child.text: thing for thing in tree.iter() for child in thing.findall(f"{SVG}title")}


def texts(tree):
    return [text.text for text in tree.iter(f"{SVG}text")]


def test_every_plot_of_the_page_is_well_formed_and_within_its_frame(make_report):
    for report in (make_report(), make_report(n_classes=52)):
        plots = re.findall(r"<svg.*?</svg>", report_html(report), re.DOTALL)
        assert len(plots) == 13
        for plot in plots:
            tree = ET.fromstring(plot)
            width, height = map(float, tree.get("viewBox").split()[2:])
            for thing in tree.iter():
                x, y = (float(thing.get(f"c{name}", thing.get(name, 0))) for name in "xy")
                assert 0 <= x <= width
                assert 0 <= y <= height


def bars(tree):
    return [rect for rect in tree.iter(f"{SVG}rect") if rect.get("fill-opacity") == ".45"]


def places(tree):
    """Positions of the marks of rows."""
    found = [g.get("transform") for g in tree.iter(f"{SVG}g") if g.get("class") == "mark"]
    return [tuple(map(float, re.findall(r"-?[\d.]+", place))) for place in found]


def test_marks_and_bars_of_rows_are_placed_by_their_values():
    values = (0.5, 0.9, 0.6)
    tree = ET.fromstring(
        rows_plot("a plot", [Row(f"{v}", (Mark(v, "m"),), (0.5, v)) for v in values], "t")
    )
    x, y = np.array(places(tree)).T
    assert np.corrcoef(x, values)[0, 1] == pytest.approx(1, abs=1e-4)
    assert (np.diff(y) > 0).all()
    for bar, place in zip(bars(tree), x, strict=True):
        assert float(bar.get("x")) == pytest.approx(x[0], abs=0.11)
        end = float(bar.get("x")) + float(bar.get("width"))
        assert end == pytest.approx(max(place, x[0] + 1), abs=0.21)


def test_a_waterfall_joins_each_step_to_the_one_before(report):
    tree = ET.fromstring(of_predictions.waterfall(report))
    expected = [0.872, 0.899, 0.904, 0.897, 0.912]
    x = [place[0] for place in places(tree)]
    assert np.corrcoef(x, expected)[0, 1] == pytest.approx(1, abs=1e-4)
    drawn = bars(tree)
    for (before, after), bar in zip(itertools.pairwise(x), drawn, strict=True):
        assert float(bar.get("x")) == pytest.approx(min(before, after), abs=0.11)
        assert float(bar.get("width")) == pytest.approx(abs(after - before), abs=0.21)
    colours = [bar.get("fill") for bar in drawn]
    assert colours[0] == colours[1] == colours[3] != colours[2]  # the other backbones harm
    assert "-0.7 to 89.7%" in texts(tree)


def test_a_waterfall_without_the_tf_idf_head_ends_with_the_layers(report):
    tree = ET.fromstring(of_predictions.waterfall(dataclasses.replace(report, lexical=False)))
    assert "TF-IDF head added" not in texts(tree)
    assert len(places(tree)) == 4


def test_a_waterfall_of_one_backbone_has_one_step_of_fusion(report):
    rows = tuple(row for row in report.baselines if row.kind != "one backbone")
    tree = ET.fromstring(of_predictions.waterfall(dataclasses.replace(report, baselines=rows)))
    assert "layers fused" in texts(tree)
    assert "backbones fused" not in texts(tree)
    assert len(places(tree)) == 4


def test_points_are_placed_by_their_values():
    values = [(1.0, 0.2), (2.0, 0.9), (4.0, 0.4)]
    xs, ys = zip(*values, strict=True)
    series = Series("s", tuple(Point(x, y, f"{x}") for x, y in values), band=((0.1, 0.3),) * 3)
    tree = ET.fromstring(points_plot("a plot", [series], scale("x", xs), scale("y", ys)))
    drawn = titles(tree)
    found = [(float(drawn[f"{x}"].get("cx")), float(drawn[f"{x}"].get("cy"))) for x in xs]
    assert np.corrcoef([x for x, _ in found], xs)[0, 1] == pytest.approx(1, abs=1e-4)
    assert np.corrcoef([y for _, y in found], ys)[0, 1] == pytest.approx(-1, abs=1e-4)


def boxes(tree, words):
    """Return the boxes of some labels, 7 units a character: (left, top, right, bottom)."""
    for text in tree.iter(f"{SVG}text"):
        if text.text in words:
            x, y, width = float(text.get("x")), float(text.get("y")), 7 * len(text.text)
            left = x - width if text.get("text-anchor") == "end" else x
            yield left, y - 9, left + width, y


def test_labels_of_nearby_points_do_not_overlap():
    points = [Point(1 + 0.01 * i, 0.5, "w", f"set{i}") for i in range(3)]
    far = Series("s", (Point(0.0, 0.0, "w", "far"), Point(2.0, 1.0, "w", "end")))
    series = [Series("t", tuple(points)), far]
    tree = ET.fromstring(points_plot("p", series, scale("x", (0.0, 2.0)), scale("y", (0.0, 1.0))))
    drawn = list(boxes(tree, {"set0", "set1", "set2", "far", "end"}))
    assert len(drawn) == 5
    for one, other in itertools.combinations(drawn, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_labels_of_equal_points_are_joined_on_one_line_within_the_frame():
    series = [Series("s", tuple(Point(1.0, 0.5, "w", f"{i}") for i in range(1, 8)))]
    tree = ET.fromstring(points_plot("p", series, scale("x", (0.0, 1.0)), scale("y", (0.0, 1.0))))
    ((left, *_, right, _),) = boxes(tree, {"1, 2, 3, 4, 5, 6, 7"})
    assert left >= 0
    assert right <= 400


def test_rows_of_pairs_show_both_names_at_any_length(report):
    names = [f"organisation/a-model-with-a-long-name-{i}:12:first" for i in range(3)]
    pairs = [
        dataclasses.replace(report.pairs[0], first=one, second=other)
        for one, other in itertools.combinations(names, 2)
    ]
    tree = ET.fromstring(of_layers.pair_plot(dataclasses.replace(report, pairs=tuple(pairs))))
    shown = [text for text in texts(tree) if " + " in text]
    assert [re.findall(r"name-(\d):12:first", one) for one in shown] == [
        ["0", "1"], ["0", "2"], ["1", "2"]
    ]  # fmt: skip
    assert all(len(one) <= 52 for one in shown)
    assert any(f"{names[0]} + {names[1]}" in title for title in titles(tree))


def test_the_knee_is_marked_by_a_ring(report):
    for title, cost in (
        ("ms", lambda c: c.milliseconds),
        ("MiB", lambda c: c.weight_bytes / 2**20),
    ):
        tree = ET.fromstring(of_predictions.cost_plot(report, title, cost))
        (ringed,) = [c for c in tree.iter(f"{SVG}circle") if c.get("class") == "chosen"]
        knee = report.overhead.choices[1]
        assert ringed.findtext(f"{SVG}title").startswith(" + ".join(knee.backbones))


def test_only_points_on_the_front_of_a_cost_are_joined(report):
    for cost, n_on_it in ((lambda c: c.milliseconds, 3), (lambda c: c.weight_bytes / 2**20, 4)):
        tree = ET.fromstring(of_predictions.cost_plot(report, "a cost", cost))
        lines = [p.get("d") for p in tree.iter(f"{SVG}path") if p.get("stroke-width") == "1.6"]
        assert [line.count("L") for line in lines] == [n_on_it - 1]


def test_shades_of_cells_follow_their_values():
    cells = tuple(heatmap.Cell(shade, f"{shade}") for shade in (-1.0, -0.5, 0.0, 0.25, 1.0))
    tree = ET.fromstring(
        heatmap.heatmap("a map", [heatmap.Row("r", cells)], "t", ("-1", "1"), both_signs=True)
    )
    drawn = titles(tree)
    strength = {name: float(cell.get("fill-opacity")) for name, cell in drawn.items()}
    assert set(strength) == {"-1.0", "-0.5", "0.25", "1.0"}
    assert strength["-1.0"] == strength["1.0"] > strength["-0.5"] > strength["0.25"]
    assert drawn["-0.5"].get("fill") == drawn["-1.0"].get("fill") != drawn["1.0"].get("fill")


def test_the_depth_map_has_a_cell_for_each_layer_and_frames_those_in_use(report):
    tree = ET.fromstring(of_layers.depth_map(report))
    framed = [r for r in tree.iter(f"{SVG}rect") if r.get("class") == "chosen"]
    scores = [score for line in report.layers for score in line.scores]
    assert len(titles(tree)) == len(scores) - 1  # the lowest is blank
    assert len(framed) == sum(sum(line.chosen) for line in report.layers)
    shades = {
        float(name.rsplit(": ", 1)[1]): float(cell.get("fill-opacity"))
        for name, cell in titles(tree).items()
    }
    ordered = [shades[value] for value in sorted(shades)]
    assert ordered == sorted(ordered)


def test_confusions_of_few_classes_are_shown_as_numbers(report):
    tree = ET.fromstring(of_predictions.confusion_map(report))
    shown = [int(text) for text in texts(tree) if text.isdigit()]
    n = len(report.data.classes)
    assert shown[:n] == list(range(1, n + 1))
    assert shown[n:] == [count for row in report.confusion for count in row]


@pytest.mark.parametrize(
    ("n_classes", "title"),
    [
        (12, "predicted class, by its number"),
        (24, "predicted class, in the order of the rows"),
        (25, "rows and columns in the order of the table of classes"),
    ],
)
def test_the_axis_title_of_confusions_matches_the_labels_shown(make_report, n_classes, title):
    shown = texts(ET.fromstring(of_predictions.confusion_map(make_report(n_classes=n_classes))))
    assert title in shown
    assert (str(n_classes) in shown) == ("number" in title)
    assert any(words.startswith("2 ") for words in shown) == ("table" not in title)


def test_the_area_of_a_bin_grows_with_its_texts(report):
    tree = ET.fromstring(of_predictions.reliability_plot(report))
    radii = {
        int(words.rsplit(" ", 1)[1]): float(circle.get("r"))
        for words, circle in titles(tree).items()
        if " of " in words
    }
    n_texts = sorted(b.n_texts for b in report.reliability)
    assert sorted(radii) == n_texts
    seen = [n for n in n_texts if n >= n_texts[-1] / 25]  # smaller bins have the least visible area
    assert [(radii[n] / 10) ** 2 for n in seen] == pytest.approx(
        [n / n_texts[-1] for n in seen], rel=0.01
    )
    assert {radii[n] for n in n_texts if n not in seen} == {2.0}


def test_the_learning_curve_shows_means(report):
    tree = ET.fromstring(of_predictions.learning_curve(report))
    told = titles(tree)
    assert len(told) == len(report.curve)
    for point in report.curve:
        words = f"{point.name}, {point.n_texts:,} training texts: {np.mean(point.accuracy):.1%}"
        assert words in told


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([0.95], True, (0.9, 1.0)),
        ([1.0, 1.0], True, (0.95, 1.0)),
        ([0.0], True, (0.0, 0.05)),
        ([0.0, 1.0], True, (0.0, 1.0)),
        ([0.2], False, (0.1, 0.3)),
        ([0.1, 10.1], False, (0.0, 10.6)),
        ([-1.0, 1.0], False, (-1.1, 1.1)),
    ],
)
def test_axes_enclose_their_values_and_percentages_stay_within_0_and_100(values, percent, expected):
    assert enclose(values, percent=percent) == pytest.approx(expected)


def test_one_point_and_one_row_can_be_drawn(report):
    few = dataclasses.replace(
        report,
        curve=report.curve[:1],
        reliability=report.reliability[-1:],
        gates=report.gates[:1],
        overhead=dataclasses.replace(report.overhead, choices=report.overhead.choices[:1]),
    )
    for plot in (
        of_predictions.learning_curve(few),
        of_predictions.reliability_plot(few),
        of_layers.gate_plot(few),
        of_predictions.cost_plot(few, "ms", lambda c: c.milliseconds),
    ):
        assert ET.fromstring(plot).get("role") == "img"
