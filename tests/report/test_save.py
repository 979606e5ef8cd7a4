"""save_report: three files, all written or none; loading them gives the same report."""

import pytest

from layerfuse.core.errors import ReportError
from layerfuse.report import save
from layerfuse.report.document import Report
from layerfuse.report.html import report_html
from layerfuse.report.markdown import report_markdown


@pytest.fixture(scope="module")
def report(make_report):
    return make_report()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_save_report_writes_three_files_from_which_the_report_loads(report, tmp_path):
    folder = tmp_path / "new" / "folder"
    paths = save.save_report(report, folder)

    assert sorted(path.name for path in paths) == ["report.html", "report.json", "report.md"]
    assert sorted(folder.iterdir()) == sorted(paths)
    assert Report.load(folder) == report
    assert (folder / "report.html").read_text("utf-8") == report_html(report)
    assert (folder / "report.md").read_text("utf-8") == report_markdown(report)


def test_save_pages_leaves_the_document_unchanged(report, tmp_path):
    save.save_report(report, tmp_path)
    (tmp_path / "report.html").write_text("old")
    before = (tmp_path / "report.json").stat()
    save.save_pages(Report.load(tmp_path), tmp_path)

    assert (tmp_path / "report.json").stat().st_mtime_ns == before.st_mtime_ns
    assert (tmp_path / "report.html").read_text("utf-8") == report_html(report)


def test_a_file_in_the_place_of_the_folder_is_refused(report, tmp_path):
    place = tmp_path / "taken"
    place.write_text("mine")

    with pytest.raises(ReportError, match=r"taken is a file. Name another"):
        save.save_report(report, place)
    assert place.read_text() == "mine"


def test_an_impossible_report_folder_is_refused_in_advance(tmp_path):
    save.check_report_folder(tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(ReportError, match="Name another"):
            save.check_report_folder(place)


def test_a_failed_write_leaves_the_earlier_files(report, tmp_path, monkeypatch):
    save.save_report(report, tmp_path)
    before = contents(tmp_path)

    def refuse(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", refuse)
    with pytest.raises(ReportError, match=r"cannot be saved in .*No space left on device"):
        save.save_report(report, tmp_path)
    assert contents(tmp_path) == before


def test_a_page_that_cannot_be_rendered_leaves_all_files(report, tmp_path, monkeypatch):
    save.save_report(report, tmp_path)
    before = contents(tmp_path)

    def fail(report):
        raise ZeroDivisionError

    monkeypatch.setattr(save, "report_markdown", fail)
    with pytest.raises(ZeroDivisionError):
        save.save_report(report, tmp_path)
    assert contents(tmp_path) == before


def test_a_tilde_in_the_path_is_the_home_folder(report, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    save.save_report(report, "~/report")
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert Report.load("~/report") == report
