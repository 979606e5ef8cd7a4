"""The application: its commands; a user's mistake is reported in one line."""

import io
import logging
import os
import re
import signal
import sys
import warnings
from types import FrameType

import typer

from layerfuse.cli.cache import cache_app
from layerfuse.cli.compare import compare
from layerfuse.cli.demo import demo
from layerfuse.cli.doctor import doctor
from layerfuse.cli.fit import fit
from layerfuse.cli.models import models
from layerfuse.cli.predict import predict
from layerfuse.cli.report import report
from layerfuse.cli.score import score
from layerfuse.cli.study import study
from layerfuse.cli.warned import show_warning
from layerfuse.core.errors import LayerFuseError

app = typer.Typer(
    name="layerfuse",
    help="Fuse the layers of frozen transformers into one text classifier.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (fit, predict, score, compare, report, study, models, demo, doctor):
    app.command()(command)
app.add_typer(cache_app, name="cache")

_USER_MISTAKE = 2
_INTERRUPTED = 130
_BROKEN_PIPE = 1
_KILLED = 128  # plus the number of the signal

_ARGUMENT = re.compile(r"\b(text|label|group)_column=")  # in messages of the library


def main() -> None:
    """Run the command line; a user's mistake exits 2 with one line on standard error."""
    _open_missing_streams()
    _exit_on_signals()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    warnings.showwarning = show_warning
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # like the input, whatever the locale
    try:
        code = app(sys.argv[1:] or ["--help"], prog_name="layerfuse", standalone_mode=False)
        sys.stdout.flush()  # a full disk must raise here, where it is reported
    except typer.Abort:
        code = _INTERRUPTED
    except BrokenPipeError:  # the reader closed the pipe, as in `| head`
        _drop_output()
        code = _BROKEN_PIPE
    except (LayerFuseError, OSError) as err:
        code = _report_mistake(str(err))
        _drop_output()
    except typer.TyperException as err:
        code = _report_mistake(err.format_message())
    sys.exit(code)


def _open_missing_streams() -> None:
    """Replace standard streams that the caller has closed, as in `2>&-`, by the null device."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _exit_on_signals() -> None:
    """Turn SIGTERM and SIGHUP into SystemExit, so that context managers remove temporary files.

    A signal that is ignored, as under nohup, stays ignored.
    """
    for name in ("SIGTERM", "SIGHUP"):  # not all systems have SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _exit)


def _exit(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise SystemExit(_KILLED + number)


def _report_mistake(message: str) -> int:
    if sys.argv[1:2] != ["study"]:  # which has no such options: its file names columns
        message = _ARGUMENT.sub(r"--\1-column=", message)
    sys.stderr.write(f"layerfuse: error: {' '.join(message.split())}\n")
    return _USER_MISTAKE


def _drop_output() -> None:
    """Discard output that cannot be written; otherwise Python reports it again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
