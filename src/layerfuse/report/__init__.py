"""Comparisons with baselines: gains with intervals, costs, reports and studies."""

from layerfuse.report.comparison import compare
from layerfuse.report.document import Report, report_schema
from layerfuse.report.metrics import Interval, paired_gain, wilson_interval
from layerfuse.report.plots.score_plot import score_plot
from layerfuse.report.save import check_report_folder, save_report
from layerfuse.report.tables import score_table, trial_table

__all__ = [
    "Interval",
    "Report",
    "check_report_folder",
    "compare",
    "paired_gain",
    "report_schema",
    "save_report",
    "score_plot",
    "score_table",
    "trial_table",
    "wilson_interval",
]
