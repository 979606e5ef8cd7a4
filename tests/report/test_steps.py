"""Steps of the report use the backbone that is best on training texts, not on test texts."""

import dataclasses
import html

import pytest

from layerfuse.report import Report
from layerfuse.report.contents.predictions import step_table, steps
from layerfuse.report.html import report_html
from layerfuse.report.markdown import report_markdown

NOTE = "Chosen as the best of several on the test texts, which favours it: last layer."


@pytest.fixture(scope="module")
def row(make_report):
    """Make one row of the table."""
    like = make_report().result

    def of(name, kind, accuracy):
        return dataclasses.replace(like, name=name, kind=kind, accuracy=accuracy)

    return of


@pytest.fixture(scope="module")
def layers(row):
    """Make rows of two backbones, of which b is better on the test texts."""

    def of(kind, of_a, of_b):
        return row(f"a, {kind}", kind, of_a), row(f"b, {kind}", kind, of_b)

    return (
        *of("last layer", 0.7, 0.8),
        *of("middle layer", 0.9, 0.9),
        *of("best layer", 0.75, 0.85),
    )


def told(report, baselines):
    """Give report and steps, once through the document."""
    known = dataclasses.replace(report, baselines=baselines, best_baseline=baselines[0].name)
    known = Report.from_json(known.to_json())
    return known, [
        (step.quality.name, step.quality.accuracy, step.by_tests) for step in steps(known)
    ]


@pytest.mark.parametrize(("winner", "last", "best"), [("a", 0.7, 0.75), ("b", 0.8, 0.85)])
def test_steps_use_the_backbone_that_is_best_on_training_texts(
    make_report, layers, row, winner, last, best
):
    alone = row(f"layerfuse on {winner} alone", "one backbone", 0.86)
    validated = row("best layer of all", "best layer", best)
    known, found = told(make_report(), (*layers, validated, alone))
    assert found[:3] == [
        (f"{winner}, last layer", last, False),
        ("best layer of all", best, False),
        (alone.name, 0.86, False),
    ]
    assert not step_table(known).note


def test_a_last_layer_chosen_on_test_texts_is_marked_with_a_note(make_report, layers, row):
    """If folds found several backbones, no backbone has the numbers of the best layer of all."""
    mixed = row("best layer of all", "best layer", 0.79)
    known, found = told(make_report(), (*layers, mixed))
    assert found[:2] == [("b, last layer", 0.8, True), ("best layer of all", 0.79, False)]
    assert step_table(known).note == NOTE
    assert f'<p class="note">{html.escape(NOTE)}</p>' in report_html(known)
    assert f"\n\n{NOTE}\n\n| step |" in report_markdown(known)


def test_steps_of_one_backbone_need_no_note(make_report, layers):
    known, found = told(make_report(), layers[::2])
    assert found[:2] == [("a, last layer", 0.7, False), ("a, best layer", 0.75, False)]
    assert not step_table(known).note
