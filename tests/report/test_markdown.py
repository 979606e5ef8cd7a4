"""report_markdown and print: escaped, with regular tables, equal to the numbers of the report."""

import dataclasses
import html
import re

import pytest

from layerfuse.report.contents.answer import sentences
from layerfuse.report.html import report_html
from layerfuse.report.markdown import report_markdown


@pytest.fixture(scope="module")
def report(make_report):
    return make_report()


def literal(cell):
    """Read Markdown as a renderer does: a backslash takes what follows as it is."""
    return html.unescape(re.sub(r"\\(.)", r"\1", cell)).strip()


def tables(document):
    """Cells of every table by its heading."""
    found = {}
    for part in document.split("\n## ")[1:]:
        title, _, body = part.partition("\n\n")
        rows = [line for line in body.splitlines() if line.startswith("|")]
        cells = [re.findall(r"((?:\\.|[^\\|])*)\|", row[1:]) for row in rows]
        found[literal(title)] = [[literal(cell) for cell in row] for row in cells]
    return found


def test_prompts_are_shown_in_quotes(report):
    assert "prompt" not in report_markdown(report)
    asked = dataclasses.replace(report, prompts={"m": "so:\n{text} | "})
    choices = tables(report_markdown(asked))["Layers, fusion and head"]
    assert ["m, prompt", '"so:\\n{text} | "'] in choices


def test_all_rows_of_a_table_have_the_same_number_of_cells(report):
    found = tables(report_markdown(report))
    assert len(found) >= 15
    for rows in found.values():
        assert len(rows) > 2
        assert len({len(row) for row in rows}) == 1


@pytest.mark.parametrize("n_classes", [8, 52])
def test_tables_of_confusions_are_left_out_if_unknown(make_report, n_classes):
    known = make_report(n_classes=n_classes)
    unknown = dataclasses.replace(known, classes=(), confusion=())
    lost = tables(report_markdown(known)).keys() - tables(report_markdown(unknown)).keys()
    assert len(lost) == 2
    assert "The result class by class" in lost


def test_hostile_text_is_literal(report, hostile):
    document = report_markdown(report)
    rows = tables(document)["Mistakes, the most confident first"][2:]
    assert [row[3] for row in rows][: len(hostile)] == list(hostile)
    assert not re.search(r"<[a-z/]", document)


def test_line_breaks_do_not_end_a_row(report):
    mistake = dataclasses.replace(report.mistakes[0], text="one\n\n# two\r\nthree |\\")
    document = report_markdown(dataclasses.replace(report, mistakes=(mistake,)))
    (row,) = tables(document)["Mistakes, the most confident first"][2:]
    assert row[3] == "one # two three |\\"


def test_the_answer_comes_first(report):
    top = report_markdown(report).split("\n## ")[0]
    assert literal(top.splitlines()[4]) == " ".join(sentences(report))
    assert top.splitlines()[2].startswith("> **Warning:** 7 of 2,000 test texts")


def test_numbers_in_markdown_equal_those_of_the_report(report):
    found = tables(report_markdown(report))
    rows = found["The result, its baselines and its variants on the test texts"][2:]
    qualities = (report.result, *report.baselines)
    assert [row[0] for row in rows] == [quality.name for quality in qualities]
    assert [row[1] for row in rows] == [f"{quality.accuracy:.1%}" for quality in qualities]
    classes = found["The result class by class"][2:]
    assert [int(row[1]) for row in classes] == [c.n_texts for c in report.classes]


@pytest.mark.parametrize("n_folds", [0, 5])
def test_markdown_has_all_tables_and_notes_of_the_page(report, n_folds):
    """Except notes on plots, and mistakes, which are not a table on the page."""
    data = dataclasses.replace(report.data, n_folds=n_folds)
    report = dataclasses.replace(report, data=data)
    page, document = report_html(report), report_markdown(report)
    captions = re.findall("<caption>(.*?)</caption>", page)
    assert len(captions) > 15
    assert {html.unescape(one) for one in captions} <= tables(document).keys()
    notes = {html.unescape(one) for one in re.findall('<p class="note">(.*?)</p>', page)}
    lost = {one for one in notes if one not in literal(document)}
    assert [one.split()[0] for one in sorted(lost)] == ["Each", "Most"]
    assert literal(document).count("These accuracies are those of the first fold.") == (
        3 if n_folds else 0
    )


def test_print_fits_a_terminal(report, capsys):
    print(report)  # noqa: T201
    lines = capsys.readouterr().out.splitlines()
    words = " ".join(line for line in lines if line)
    assert max(map(len, lines)) <= 80
    for sentence in sentences(report):
        assert sentence in words
    table = lines[lines.index("") + 1 :]
    assert len(table) == 2 + 1 + len(report.baselines)
    assert "91.2%" in table[2]
    assert table[3].endswith("+5.9")


@pytest.mark.parametrize("n_before", range(12))
def test_print_keeps_names_of_models_whole(report, n_before):
    data = dataclasses.replace(report.data, name="x" * n_before + " all-MiniLM-L6-v2" * 7)
    lines = str(dataclasses.replace(report, data=data)).splitlines()
    assert not any(line.endswith("-") for line in lines[: lines.index("")])


def test_print_contains_no_control_characters(report):
    data = dataclasses.replace(report.data, name="\x1b[31mred\r\n")
    assert "\x1b" not in str(dataclasses.replace(report, data=data))
