"""Real processes: closed pipes, full disks, Ctrl-C from the keyboard."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LAYERFUSE = [sys.executable, "-m", "layerfuse"]


@pytest.mark.parametrize("command", [["--help"], ["cache", "ls", "--json"], ["cache", "verify"]])
def test_a_pipe_closed_before_the_first_line_ends_without_a_message(
    subprocess_environment, command
):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*LAYERFUSE, *command],
        env=subprocess_environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", [["cache", "ls", "--json"], ["cache", "verify"]])
def test_a_full_disk_is_reported_in_one_line(subprocess_environment, command):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*LAYERFUSE, *command],
            env=subprocess_environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "No space left on device" in done.stderr


def test_a_pipe_closed_after_the_first_line_ends_without_a_message(
    subprocess_environment, saved, toy, tmp_path
):
    (tmp_path / "lines").write_text("\n".join(toy(4000)[0]))
    with (tmp_path / "lines").open() as lines:
        process = subprocess.Popen(
            [*LAYERFUSE, "predict", str(saved), "--json"],
            env=subprocess_environment,
            stdin=lines,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        first = process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        process.stderr.close()

    assert first.startswith(b'{"text": ')
    assert process.wait(300) == 1
    assert errors == b""


@pytest.mark.parametrize(
    ("command", "closed", "code"),
    [("cache ls", ">&-", 0), ("cache ls", "2>&-", 0), ("pedict", "2>&-", 2)],
)
def test_a_closed_output_stream_causes_no_traceback(subprocess_environment, command, closed, code):
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *LAYERFUSE, *command.split()],
        env=subprocess_environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (code, "")


def test_a_closed_standard_input_is_empty(run, saved):
    """Python has none, then."""
    done = run("predict", saved, stdin=None)
    sys.stdin.close()  # the null device in its place

    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert "Standard input is empty" in done.err


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_that_ends_the_process_leaves_no_temporary_store(
    subprocess_environment, data, tiny_encoder, tmp_path, name
):
    code = (
        "import signal, time, layerfuse.backbone as b\n"
        f"signal.signal(signal.{name}, signal.SIG_DFL)\n"
        "def slow(*a, **k):\n"
        "    print('begun', flush=True); time.sleep(60)\n"
        "b.Backbone.stream = slow\n"
        "from layerfuse.cli import main; main()"
    )
    (tmp_path / "scratch").mkdir()
    options = ["-b", tiny_encoder, "-o", tmp_path / "out", "--no-cache"]
    with subprocess.Popen(
        [sys.executable, "-c", code, "fit", data(), *options],
        env=subprocess_environment | {"TMPDIR": str(tmp_path / "scratch")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "begun\n"
        assert list((tmp_path / "scratch").glob("layerfuse-*"))
        process.send_signal(getattr(signal, name))
        _, errors = process.communicate(timeout=300)

    assert process.returncode == 128 + getattr(signal, name)
    assert "Traceback" not in errors
    assert not list((tmp_path / "scratch").glob("layerfuse-*"))


def test_ctrl_c_from_the_keyboard_ends_without_traceback(
    subprocess_environment, data, tiny_encoder, tmp_path
):
    code = (
        "import signal, time, layerfuse.backbone as b; stream = b.Backbone.stream\n"
        # In a background job of a shell, the signal would be ignored from the start.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def slow(*a, **k):\n"
        "    for batch in stream(*a, **k):\n"
        "        yield batch; print('begun', flush=True); time.sleep(60)\n"
        "b.Backbone.stream = slow\n"
        "from layerfuse.cli import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "fit", data(), "-b", tiny_encoder, "-o", tmp_path / "out"],
        env=subprocess_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)

    assert process.returncode == 130
    assert len(errors.splitlines()) == 1  # the line of the guessed columns
    assert "Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_output_is_utf8_if_the_locale_lacks_a_character(run, monkeypatch, toy, make, tmp_path):
    texts, labels = toy(30)
    names = {"calm": "\u5e73\u9759", "loud": "\u9a12"}
    fitted = make().fit(texts, [names[label] for label in labels])
    fitted.save(tmp_path / "saved")
    output = io.BytesIO()
    # As Python makes it for such a locale.
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, "cp1252", write_through=False))
    done = run("predict", tmp_path / "saved", stdin=b"calm1 calm2\nloud1 loud2\n")
    found = [line.split("\t")[0] for line in output.getvalue().decode("utf-8").splitlines()]

    assert done.code == 0
    assert found == fitted.predict(["calm1 calm2", "loud1 loud2"]).tolist()
