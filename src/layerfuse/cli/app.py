"""The application: its commands, and one line for every mistake of a user."""

import io
import logging
import os
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
_NO_READER = 1
_KILLED = 128  # and the number of the signal


def main() -> None:
    """Run the command line; exit 2 with one line on standard error for a mistake of the user."""
    _open_missing_streams()
    _end_orderly()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    warnings.showwarning = show_warning
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # as input is read, whatever the locale can hold
    try:
        code = app(sys.argv[1:] or ["--help"], prog_name="layerfuse", standalone_mode=False)
        sys.stdout.flush()  # here, where a full disk can still be told
    except typer.Abort:
        code = _INTERRUPTED
    except BrokenPipeError:  # who reads has enough, as in `| head`
        _drop_output()
        code = _NO_READER
    except (LayerFuseError, OSError) as err:
        code = _complain(str(err))
        _drop_output()
    except typer.TyperException as err:
        code = _complain(err.format_message())
    sys.exit(code)


def _open_missing_streams() -> None:
    """Stand in for streams that who called has closed, as in `2>&-`."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _end_orderly() -> None:
    """Let a signal that ends the process end its blocks too, so that no temporary files are left.

    What is ignored, as under nohup, stays so.
    """
    for name in ("SIGTERM", "SIGHUP"):  # the second is not everywhere
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise SystemExit(_KILLED + number)


def _complain(message: str) -> int:
    sys.stderr.write(f"layerfuse: error: {' '.join(message.split())}\n")
    return _USER_MISTAKE


def _drop_output() -> None:
    """Let what cannot be written vanish, or Python would complain about it once more at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
