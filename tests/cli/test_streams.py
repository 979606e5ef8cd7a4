"""Real processes: closed pipes, full disks, Ctrl-C from the keyboard.

Those that need a model are forked from one that has imported what loads it, which takes seconds.
"""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

LAYERFUSE = [sys.executable, "-m", "layerfuse"]

# Streams are opened before the fork, so that whoever reads them is not kept waiting if it ends.
SERVER = """
import json, os, signal, sys, tempfile, time
import layerfuse.backbone as b
import layerfuse.classifier
from layerfuse.cli import main

orders, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
write = os.O_WRONLY | os.O_CREAT
for line in orders:
    order = json.loads(line)
    streams = [os.open(order["stdin"], os.O_RDONLY)]
    streams += [os.open(order[name], write) for name in ("stdout", "stderr")]
    child = os.fork()
    if not child:
        break
    for stream in streams:
        os.close(stream)
    print(child, file=answers, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)
else:
    sys.exit()
for number, stream in enumerate(streams):
    os.dup2(stream, number)
    os.close(stream)
os.environ.update(order["environment"])
tempfile.tempdir = None  # of that environment
sys.argv = ["layerfuse", *order["arguments"]]
exec(order["code"])
main()
"""


@pytest.fixture(scope="module")
def server():
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUNBUFFERED": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.stdin.close()
    process.wait(300)
    process.stdout.close()


@pytest.fixture
def start(server, tmp_path_factory, cache_folder):
    """Start a command in a process of its own, after some code; its output goes to a pipe."""

    def call(*arguments: object, code: str = "", stdin: object = os.devnull, **environment: object):
        folder = tmp_path_factory.mktemp("streams")
        os.mkfifo(folder / "stdout")
        order = {
            "arguments": [*map(str, arguments)],
            "code": code,
            "stdin": str(stdin),
            "stdout": str(folder / "stdout"),
            "stderr": str(folder / "stderr"),
            "environment": {
                "LAYERFUSE_CACHE": str(cache_folder),
                **{name: str(value) for name, value in environment.items()},
            },
        }
        server.stdin.write(json.dumps(order) + "\n")
        server.stdin.flush()
        output = (folder / "stdout").open()

        def end() -> tuple[int, str]:
            code = int(server.stdout.readline())
            return code, (folder / "stderr").read_text()

        return SimpleNamespace(stdout=output, pid=int(server.stdout.readline()), end=end)

    return call


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


def test_a_pipe_closed_after_the_first_line_ends_without_a_message(start, saved, toy, tmp_path):
    (tmp_path / "lines").write_text("\n".join(toy(4000)[0]))
    process = start("predict", saved, "--json", stdin=tmp_path / "lines")
    with process.stdout:
        first = process.stdout.readline()

    assert first.startswith('{"text": ')
    assert process.end() == (1, "")


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
    start, data, tiny_encoder, tmp_path, name
):
    code = (
        f"signal.signal(signal.{name}, signal.SIG_DFL)\n"
        "def slow(*a, **k):\n"
        "    print('begun', flush=True); time.sleep(60)\n"
        "b.Backbone.stream = slow"
    )
    (tmp_path / "scratch").mkdir()
    options = ["-b", tiny_encoder, "-o", tmp_path / "out", "--no-cache"]
    process = start("fit", data(), *options, code=code, TMPDIR=tmp_path / "scratch")
    with process.stdout:
        assert process.stdout.readline() == "begun\n"
        assert list((tmp_path / "scratch").glob("layerfuse-*"))
        os.kill(process.pid, getattr(signal, name))
        exit_code, errors = process.end()

    assert exit_code == 128 + getattr(signal, name)
    assert "Traceback" not in errors
    assert not list((tmp_path / "scratch").glob("layerfuse-*"))


def test_ctrl_c_from_the_keyboard_ends_without_traceback(start, data, tiny_encoder, tmp_path):
    code = (
        "stream = b.Backbone.stream\n"
        # In a background job of a shell, the signal would be ignored from the start.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def slow(*a, **k):\n"
        "    for batch in stream(*a, **k):\n"
        "        yield batch; print('begun', flush=True); time.sleep(60)\n"
        "b.Backbone.stream = slow"
    )
    process = start("fit", data(), "-b", tiny_encoder, "-o", tmp_path / "out", code=code)
    with process.stdout:
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGINT)
        exit_code, errors = process.end()

    assert exit_code == 130
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
