"""A folder appears whole or not at all, and no file of a user is lost."""

import errno
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from layerfuse import Backbone, FusionClassifier
from layerfuse.bundle import Bundle, check_place, model_card, read_bundle, write_bundle
from layerfuse.core.errors import BundleFormatError
from layerfuse.core.layers import LayerRef
from layerfuse.core.selection import Selection


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def small(name: str = "a") -> Bundle:
    return Bundle({"name": name}, {"numbers": np.arange(5000.0)}, f"# {name}\n")


@pytest.mark.parametrize("name", ["notes.txt", "config.json", ".hidden", "deep/er/file"])
def test_a_folder_with_something_else_is_left_alone(fitted, tmp_path, name):
    target = tmp_path / "mine"
    (target / name).parent.mkdir(parents=True, exist_ok=True)
    (target / name).write_text("precious")
    before = contents(tmp_path)

    with pytest.raises(BundleFormatError, match=f"not part of a saved classifier: {name}"):
        fitted.save(target)
    assert contents(tmp_path) == before


def test_a_file_is_no_place_for_a_folder(fitted, tmp_path):
    (tmp_path / "file").write_text("precious")
    for target in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises((BundleFormatError, OSError), match="file"):
            fitted.save(target)
    assert contents(tmp_path) == {"file": b"precious"}


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "empty").mkdir()
    write_bundle(tmp_path / "empty", small())

    assert read_bundle(tmp_path / "empty").card == "# a\n"


def test_an_older_bundle_is_replaced_whole(fitted, toy, tiny_encoder, tmp_path):
    fitted.save(tmp_path / "saved", include_backbones=True)
    options = {"device": "cpu", "cache": None, "progress": False}
    other = FusionClassifier([tiny_encoder], **options).fit(*toy(30, ("loud", "wild")))
    other.save(tmp_path / "saved")

    assert FusionClassifier.load(tmp_path / "saved").classes_.tolist() == ["loud", "wild"]
    assert set(contents(tmp_path / "saved")) == {"README.md", "arrays.safetensors", "config.json"}
    assert names(tmp_path) == ["saved"]


def test_a_file_put_into_a_bundle_is_not_deleted_with_it(tmp_path):
    write_bundle(tmp_path / "saved", small("old"))
    (tmp_path / "saved" / "predictions.csv").write_text("precious")

    with pytest.raises(BundleFormatError, match=r"predictions\.csv"):
        write_bundle(tmp_path / "saved", small("new"))
    assert read_bundle(tmp_path / "saved").config["name"] == "old"
    assert (tmp_path / "saved" / "predictions.csv").read_text() == "precious"


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_a_failure_half_way_leaves_what_was_there(tmp_path, monkeypatch, old, error):
    if old:
        write_bundle(tmp_path / "saved", small("old"))
    before = contents(tmp_path)

    def fail(*arguments):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("layerfuse.bundle.folder.save_file", fail)
        with pytest.raises(type(error)):
            write_bundle(tmp_path / "saved", small())
    with pytest.raises(type(error)):
        write_bundle(tmp_path / "saved", small(), fail)
    assert contents(tmp_path) == before
    assert names(tmp_path) == (["saved"] if old else [])


def test_a_failure_of_the_last_step_brings_the_old_bundle_back(tmp_path, monkeypatch):
    write_bundle(tmp_path / "saved", small("old"))
    rename = Path.rename

    def fail_for_new(self, target):
        if self.name == "new":
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_new)
    with pytest.raises(OSError, match="Input/output"):
        write_bundle(tmp_path / "saved", small("new"))

    assert read_bundle(tmp_path / "saved").config["name"] == "old"
    assert names(tmp_path) == ["saved"]


def test_an_interrupt_in_the_last_step_loses_nothing(tmp_path, monkeypatch):
    write_bundle(tmp_path / "saved", small("old"))
    rename = Path.rename

    def interrupted(self, target):
        renamed = rename(self, target)
        if target.name == "old":
            raise KeyboardInterrupt
        return renamed

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(tmp_path / "saved", small("new"))

    assert read_bundle(tmp_path / "saved").config["name"] == "old"
    assert names(tmp_path) == ["saved"]


def test_a_kill_between_the_last_two_steps_loses_nothing(tmp_path):
    body = """
import os, sys, pathlib
from layerfuse.bundle import Bundle, write_bundle
rename = pathlib.Path.rename
def killed(self, target):
    rename(self, target)
    os._exit(9)
pathlib.Path.rename = killed
write_bundle(sys.argv[1], Bundle({"name": "new"}, {}, ""))
"""
    write_bundle(tmp_path / "saved", small("old"))
    done = subprocess.run([sys.executable, "-c", body, tmp_path / "saved"], check=False)
    assert done.returncode == 9
    with pytest.raises(BundleFormatError, match=r"Move the older one back from .*\.$") as error:
        read_bundle(tmp_path / "saved")
    older = str(error.value).partition("back from ")[2].removesuffix(".")
    Path(older).rename(tmp_path / "saved")
    assert read_bundle(tmp_path / "saved").config["name"] == "old"


@pytest.fixture
def small_files():
    """Let no file of this process grow past 10 KB, as a full disk would."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("small_files")
def test_a_disk_that_is_really_full_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match=r"saved cannot be written: .*too large"):
        write_bundle(tmp_path / "saved", small())

    assert names(tmp_path) == []


def test_backbones_that_do_not_fit_leave_nothing(fitted, tmp_path, monkeypatch):
    def fail(self, folder):
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Backbone, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        fitted.save(tmp_path / "saved", include_backbones=True)

    assert names(tmp_path) == []


def test_a_place_can_be_checked_long_before(tmp_path):
    (tmp_path / "file").write_text("x")
    write_bundle(tmp_path / "old", small())

    assert check_place(tmp_path / "new" / "deep") == tmp_path / "new" / "deep"
    assert check_place(tmp_path / "old") == tmp_path / "old"
    with pytest.raises(BundleFormatError, match="file"):
        check_place(tmp_path)
    with pytest.raises(OSError, match=r"file is not a writable folder"):
        check_place(tmp_path / "file" / "new")
    assert names(tmp_path) == ["file", "old"]


def test_the_home_folder_may_be_written_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_bundle("~/saved", small())

    assert read_bundle("~/saved").card == read_bundle(tmp_path / "saved").card == "# a\n"


def test_a_mount_point_is_refused_before_the_long_work(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path)
    with pytest.raises(BundleFormatError, match=r"is a mount point.*Name a folder inside it"):
        check_place(tmp_path)
    assert check_place(tmp_path / "inside") == tmp_path / "inside"


def test_the_working_folder_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for place in (".", "..", tmp_path):
        with pytest.raises(BundleFormatError, match=r"working folder.*Name a folder inside it"):
            check_place(place)
    assert check_place("inside") == tmp_path / "here" / "inside"


def test_labels_are_literal_in_the_card():
    ref = LayerRef("b", 1, "mean")
    card = model_card(
        classes=["<script>", "a\n# b"],
        selection=Selection((ref,), "best"),
        fusion="concat",
        head="ridge",
        validation=["ridge: good"],
        backbones=["`b`"],
        n_parameters=3,
    )
    assert r"Classes: &lt;script&gt;, a \# b" in card
