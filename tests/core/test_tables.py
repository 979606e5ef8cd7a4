"""Plain tables: words to the left, numbers to the right."""

import pytest

from layerfuse.core.tables import text_table


def test_words_to_the_left_and_numbers_to_the_right():
    table = text_table(
        ("name", "accuracy", "gain"),
        [("tf-idf", "81.25", "+10.1"), ("last layer of mpnet", "9.5", "-3")],
    )
    assert table.splitlines() == [
        "name                 accuracy   gain",
        "-------------------  --------  -----",
        "tf-idf                  81.25  +10.1",
        "last layer of mpnet       9.5     -3",
    ]


def test_an_empty_cell_does_not_turn_numbers_to_words():
    table = text_table(("n",), [("100",), ("",), ("5",)])
    assert table.splitlines() == ["  n", "---", "100", "", "  5"]


def test_intervals_and_percentages_are_numbers():
    table = text_table(("gain",), [("+1.2 %",), ("12.5 [11.0, 13.9]",), ("-0.3 (-1.0 .. 0.4)",)])
    lines = table.splitlines()
    assert len({len(line) for line in lines}) == 1


def test_a_table_without_rows_is_its_header():
    assert text_table(("a", "bc"), []).splitlines() == ["a  bc", "-  --"]


def test_no_line_ends_in_space():
    table = text_table(("name", "mark"), [("a", ""), ("b", "*")])
    assert all(line == line.rstrip() for line in table.splitlines())


def test_a_row_of_another_length_is_refused():
    with pytest.raises((ValueError, IndexError)):
        text_table(("a", "b"), [("1", "2", "3")])
