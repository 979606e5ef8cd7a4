"""``layerfuse study``."""

from pathlib import Path
from typing import Annotated

import typer

from layerfuse.cli import options
from layerfuse.cli.options import quiet_transformers, say


def study(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file; see examples/.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for reports and tables.")],
    device: options.Device = None,
    offline: options.Offline = False,
    no_cache: options.NoCache = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Run compare on several data sets, backbones and seeds; resumes if stopped."""
    from layerfuse.extract import DEFAULT_CACHE
    from layerfuse.report import check_report_folder
    from layerfuse.report.study import run_study
    from layerfuse.report.study_config import StudyConfig
    from layerfuse.report.study_tables import save_study, study_markdown

    quiet_transformers()
    settings = StudyConfig.load(config)
    check_report_folder(out)
    runs = []
    for run in run_study(
        settings,
        out,
        base=config.resolve().parent,
        cache=None if no_cache else DEFAULT_CACHE,
        device=device,
        offline=offline,
        progress=not no_progress,
    ):
        runs.append(run)
        accuracy, gain = 100 * run.report.result.accuracy, run.report.gain
        say(
            f"{run.data}, {run.backbones}, seed {run.seed}: {accuracy:.1f} %, "
            f"{gain.points:+.1f} points over {run.report.best_baseline}"
        )
        save_study(runs, out)
    typer.echo(study_markdown(runs))
