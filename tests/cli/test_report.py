"""``layerfuse report``: the pages again, from the document alone."""

import json

import pytest

from layerfuse.report.save import save_report


@pytest.fixture
def folder(make_report, tmp_path):
    save_report(make_report(), tmp_path / "report")
    return tmp_path / "report"


def test_report_renders_the_pages_from_the_document(run, folder):
    pages = {name: (folder / name).read_bytes() for name in ("report.html", "report.md")}
    for name in pages:
        (folder / name).unlink()
    done = run("report", folder)

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [str(folder / name) for name in pages]
    assert {name: (folder / name).read_bytes() for name in pages} == pages


def test_a_folder_without_a_report_is_refused(run, tmp_path):
    done = run("report", tmp_path)

    assert (done.code, done.out) == (2, "")
    assert "Expected report.json" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["version", "missing", "cut", "bytes"])
def test_a_document_of_another_version_or_damaged_is_refused(run, folder, damage):
    path = folder / "report.json"
    document = json.loads(path.read_bytes())
    if damage == "version":
        document["version"] = 2
    if damage == "missing":
        del document["gain"]
    text = json.dumps(document).encode()
    path.write_bytes({"cut": text[:100], "bytes": b"\xff" + text}.get(damage, text))
    pages = (folder / "report.html").read_bytes()
    done = run("report", folder)

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"layerfuse: error: Expected {path} to be a layerfuse report")
    assert done.err.count("\n") == 1
    assert (folder / "report.html").read_bytes() == pages


def test_help_names_the_document(run):
    done = run("report", "--help")

    assert (done.code, done.err) == (0, "")
    assert "report.json" in done.out
