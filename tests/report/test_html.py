"""report_html: complete, equal to the numbers of the report, and safe for hostile data."""

import dataclasses
import html
import itertools
import re
from html.parser import HTMLParser

import pytest

from layerfuse.report import costs as c
from layerfuse.report.contents.answer import leak_warning, quality_table, sentences
from layerfuse.report.contents.costs import choice_table
from layerfuse.report.contents.numbers import p_value
from layerfuse.report.facts import Seeds
from layerfuse.report.html import report_html
from layerfuse.report.markdown import report_markdown
from layerfuse.report.sections import SECTIONS

VOID = {"meta", "link", "br", "hr", "img"}
PLOTTED = {"steps", "gains", "layers", "agreement", "gates", "pairs", "choices", "marginals"}
PLOTTED |= {"confusion", "probabilities", "curve"}


class Page(HTMLParser):
    """Elements, texts and tables of a page; every element is closed by its own end."""

    def __init__(self, document):
        super().__init__()
        self.open, self.elements, self.texts, self.tables, self.headings = [], [], [], {}, []
        self.feed(document)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.open += [] if tag in VOID else [tag]
        if tag == "table":
            self.table = []
        if tag == "tr":
            self.table.append([])
        if tag in {"td", "th"}:
            self.table[-1].append("")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if "caption" in self.open:
            self.tables[data] = self.table
        if {"td", "th"} & set(self.open):
            self.table[-1][-1] += data


@pytest.fixture(scope="module")
def report(make_report):
    return make_report()


@pytest.fixture(scope="module")
def document(report):
    return report_html(report)


@pytest.fixture(scope="module")
def page(document):
    return Page(document)


@pytest.fixture(scope="module")
def bare(report):
    """Make a report that has only the fields that every report has."""
    nothing = dict.fromkeys(
        ["baselines", "layers", "gates", "pairs", "reliability", "curve", "mistakes"], ()
    )
    return dataclasses.replace(
        report,
        **nothing,
        overhead=c.Overheads(report.overhead.fit),
        agreement={},
        classes=(),
        confusion=(),
        seeds=Seeds((0,), (0.9,)),
    )


def test_hostile_text_is_escaped(page, document, hostile):
    allowed = {"html", "head", "meta", "title", "style", "body", "main", "nav", "section"}
    allowed |= {"h1", "h2", "p", "ul", "ol", "li", "a", "bdi", "blockquote", "figure", "details"}
    allowed |= {"summary", "div", "table", "caption", "thead", "tbody", "tr", "th", "td"}
    allowed |= {"svg", "g", "path", "rect", "circle", "text"}

    assert {tag for tag, _ in page.elements} == allowed
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    for words in hostile:
        assert words in page.texts
        assert html.escape(words) in document
    assert "<script" not in document


def test_characters_that_html_cannot_hold_are_replaced(report):
    facts = dataclasses.replace(report.data, name="a\x00b\x1b[31m\ud800\n \u202ec")
    document = report_html(dataclasses.replace(report, data=facts))

    assert "a\ufffdb\ufffd[31m\ufffd \ufffdc" in document
    assert document.encode()


def test_the_page_loads_nothing_and_all_its_links_are_internal(document, page):
    addresses = {value for _, attrs in page.elements for value in attrs.values() if value}
    links = [attrs["href"] for tag, attrs in page.elements if tag == "a"]
    keys = {attrs["id"] for _, attrs in page.elements if "id" in attrs}

    assert {a for a in addresses if "//" in a} == {"http://www.w3.org/2000/svg"}
    assert {link.removeprefix("#") for link in links} == keys
    assert all(link.startswith("#") for link in links)
    assert not re.search(r"@import|url\(|src=", document)


def test_the_page_has_a_valid_structure(page):
    tags = [tag for tag, _ in page.elements]
    regions = [attrs["aria-label"] for _, attrs in page.elements if attrs.get("role") == "region"]

    assert ("html", {"lang": "en"}) in page.elements
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(page.headings))
    assert len(set(regions)) == len(regions) == tags.count("table") == tags.count("caption")
    for tag, attrs in page.elements:
        if tag == "svg":
            assert attrs["role"] == "img"
            assert len(attrs["aria-label"]) > 10
        if tag == "th":
            assert attrs["scope"] in {"row", "col"}


def test_the_answer_comes_first(document, report, page):
    top = document[: document.index("<nav")]

    assert " ".join(sentences(report)) in page.texts
    assert html.escape(sentences(report)[0]) in top
    assert page.tables[quality_table(report).caption][1][0] == report.result.name


def test_numbers_on_the_page_equal_those_of_the_report(page, report):
    labels = list(report.data.classes)
    confusion = page.tables["Test texts by true class (row) and predicted class (column)"]
    table = page.tables[quality_table(report).caption]
    layers = page.tables["Every layer's loo_ridge (higher is better)"]

    assert confusion[0][1:] == [row[0] for row in confusion[1:]] == labels
    assert tuple(tuple(map(int, row[1:])) for row in confusion[1:]) == report.confusion
    for row, quality in zip(table[1:], (report.result, *report.baselines), strict=True):
        assert row[0] == quality.name
        assert float(row[1][:-1]) == pytest.approx(100 * quality.accuracy, abs=0.0501)
        assert float(row[4]) == pytest.approx(quality.log_loss, abs=0.000501)
        if quality.gain:
            numbers = [float(n) for n in re.findall(r"[+-][\d.]+", row[5])]
            gain = quality.gain
            assert numbers == pytest.approx([gain.points, gain.low, gain.high], abs=0.0501)
    scores = [score for line in report.layers for score in line.scores]
    assert [float(row[1]) for row in layers[1:]] == pytest.approx(scores, abs=0.0000501)
    chosen = [is_chosen for line in report.layers for is_chosen in line.chosen]
    assert [row[3] == "yes" for row in layers[1:]] == chosen


def test_layers_in_use_are_listed_by_source(report):
    backbone = report.layers[0].backbone
    selection = tuple(f"{backbone}:{layer}:mean" for layer in (3, 11, 7))
    chosen = dataclasses.replace(report, selection=(*selection, f"{backbone}:4:first"))
    rows = Page(report_html(chosen)).tables["Layers, fusion and head"]

    assert rows[1] == [f"{backbone}, mean", "layers 3, 11, 7"]
    assert rows[2] == [f"{backbone}, first", "layers 4"]


def test_sections_without_data_are_left_out(bare):
    document = report_html(bare)
    keys = {attrs["id"] for tag, attrs in Page(document).elements if tag == "h2"}

    assert keys == {"selection", "costs", "about"}
    assert "<svg" not in document


def test_every_section_with_data_is_shown_with_its_plot(page, document):
    keys = [attrs["id"] for tag, attrs in page.elements if tag == "h2"]
    parts = dict(zip(keys, document.split("<section")[1:], strict=True))

    assert keys == [key for key, *_ in SECTIONS]
    assert {key for key, part in parts.items() if "<svg" in part} == PLOTTED
    for key in PLOTTED:
        assert "<details>\n<summary>Numbers</summary>" in parts[key]


@pytest.mark.parametrize("n_leaked", [0, 7])
def test_a_leak_is_reported_before_the_answer(report, n_leaked):
    facts = dataclasses.replace(report.data, n_leaked=n_leaked)
    document = report_html(dataclasses.replace(report, data=facts))
    top = document[document.index("</h1>") : document.index('class="answer"')]

    assert ("7 of 2,000 test texts (0.4%)" in top) == bool(n_leaked)
    assert bool(leak_warning(dataclasses.replace(report, data=facts))) == bool(n_leaked)


@pytest.mark.parametrize(
    ("points", "low", "high", "p", "words"),
    [
        (1.3, 0.4, 2.4, 0.031, "1.3 points more than the best baseline"),
        (-1.3, -2.4, -0.4, 0.031, "1.3 points less than the best baseline"),
        (0.3, -0.2, 0.9, 0.031, "not significant"),
        (0.3, 0.0, 0.9, 0.031, "not significant"),
        (-25.0, -45.0, -5.0, 0.0625, "not significant"),  # five of twenty texts
    ],
)
def test_the_gain_is_described_with_interval_and_mcnemar_p(report, points, low, high, p, words):
    gain = dataclasses.replace(report.gain, points=points, low=low, high=high, mcnemar_p=p)
    sentence = sentences(dataclasses.replace(report, gain=gain))[1]

    assert words in sentence
    assert f"{low:+.1f} to {high:+.1f}" in sentence
    assert f"McNemar p {p_value(p)}" in sentence


def test_costs_are_in_the_answer_if_measured(report, bare):
    assert len(sentences(bare)) == 2
    (cost,) = sentences(report)[2:]
    assert "500.0 MiB of weights" in cost
    assert "keep 131.2 million of their 170.1 million parameters" in cost


def test_the_smallest_budget_shown_for_a_set_admits_it(report, page):
    (table,) = [rows for caption, rows in page.tables.items() if caption.startswith("Sets of")]
    for (*_, by_time, by_weight), choice in zip(table[1:], report.overhead.choices, strict=True):
        assert bool(by_time) == choice.on_front
        if choice.on_front:
            assert 0 <= float(by_time.split()[0]) - choice.milliseconds <= 0.01 + 1e-9
        assert ("knee" in by_time) == choice.is_knee
        assert 0 <= float(by_weight.split()[0]) - choice.weight_bytes / 2**20 < 1
        assert ("knee" in by_weight) == choice.is_knee


def test_a_single_set_of_backbones_has_no_plot_and_no_knee(report):
    overhead = dataclasses.replace(report.overhead, choices=report.overhead.choices[1:2])
    draw = {key: draw for key, _, draw in SECTIONS}["choices"]
    body = draw(dataclasses.replace(report, overhead=overhead))

    assert "14.20" in body
    assert not re.search("svg|knee|Each number is a set", body)


@pytest.mark.parametrize("n_sets", [1, 4])
def test_the_note_of_sets_explains_why_rows_differ_from_the_result(report, n_sets):
    """The page and Markdown have the note of the table, with or without plots."""
    overhead = dataclasses.replace(report.overhead, choices=report.overhead.choices[:n_sets])
    few = dataclasses.replace(report, overhead=overhead)
    draw = {key: draw for key, _, draw in SECTIONS}["choices"]
    document = report_markdown(few)
    heading = document.index("## Sets of backbones")
    _, said, table = document[heading:].split("\n\n")[:3]

    assert said == choice_table(few).note
    assert said.startswith(
        "Every set is refitted without the TF-IDF head, on at most 2,000 training texts"
    )
    assert said.endswith("and timed without fusion and head, so rows may differ from the result.")
    assert draw(few).count(f'<p class="note">{html.escape(said)}</p>') == 1
    assert table.startswith("| backbones |")


def test_a_page_of_many_classes_stays_small(make_report):
    report = make_report(n_classes=52, n_layers=24)
    document = report_html(report)
    rows = Page(document).tables["The most frequent confusions"]
    texts = [int(row[2]) for row in rows[1:]]
    off_diagonal = [
        n for i, row in enumerate(report.confusion) for j, n in enumerate(row) if i != j
    ]

    assert len(document.encode()) < 2_000_000
    assert texts == sorted(off_diagonal, reverse=True)[:10]


def test_long_texts_are_shortened(page):
    assert max(len(text) for text in page.texts if text.startswith("long ")) <= 300


def test_a_notebook_shows_the_answer_and_the_main_table_only(report):
    shown = Page(report._repr_html_())

    assert list(shown.tables) == [quality_table(report).caption]
    assert " ".join(sentences(report)) in shown.texts
    assert "svg" not in {tag for tag, _ in shown.elements}
