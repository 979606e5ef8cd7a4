"""What was gained, how sure that is, and what it costs; always beside the baselines."""

from layerfuse.report.baselines import Result, compare_with_baselines, last_layer, predict_tfidf
from layerfuse.report.metrics import Interval, paired_gain, wilson_interval
from layerfuse.report.score_plot import score_plot
from layerfuse.report.tables import score_table, text_table, trial_table

__all__ = [
    "Interval",
    "Result",
    "compare_with_baselines",
    "last_layer",
    "paired_gain",
    "predict_tfidf",
    "score_plot",
    "score_table",
    "text_table",
    "trial_table",
    "wilson_interval",
]
