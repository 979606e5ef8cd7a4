"""Facts about a fitted classifier: layer scores, weights of sources, agreement of criteria."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import spearmanr

from layerfuse.classifier import FusionClassifier, gather_signals
from layerfuse.classifier.gates import read_gates
from layerfuse.core.scores import LayerScores
from layerfuse.fuse import GatedFusion
from layerfuse.report.facts import LayerLine, SourceGate
from layerfuse.report.trial import Trial
from layerfuse.score import CriterionName, score_layers


def layer_lines(classifier: FusionClassifier) -> tuple[LayerLine, ...]:
    """Return the scores of all layers, one line per backbone and pooling."""
    scores, chosen = classifier.scores_, set(classifier.selection_.refs)
    errors = dict(zip(scores.refs, scores.standard_errors, strict=False))  # empty if unknown
    lines = []
    for backbone, pooling in dict.fromkeys((ref.backbone, ref.pooling) for ref in scores.refs):
        refs = sorted(r for r in scores.refs if (r.backbone, r.pooling) == (backbone, pooling))
        lines.append(
            LayerLine(
                backbone,
                pooling,
                tuple(ref.layer for ref in refs),
                tuple(scores[ref] for ref in refs),
                tuple(errors[ref] for ref in refs if errors),
                tuple(ref in chosen for ref in refs),
            )
        )
    return tuple(lines)


def source_gates(trial: Trial) -> tuple[SourceGate, ...]:
    """Return the weights of all sources on the test texts; empty if the fusion has no gates."""
    fusion, selection = trial.classifier.fusion_, trial.classifier.selection_
    if not isinstance(fusion, GatedFusion):
        return ()
    blocks = (part for _, part in trial.test_parts(selection.refs))
    gates = read_gates(fusion, selection, blocks)
    low, high = np.quantile(gates.weights, [0.05, 0.95], axis=0).tolist()
    means = gates.weights.mean(0).tolist()
    return tuple(map(SourceGate, gates.names, means, low, high))


def criteria_agreement(
    trial: Trial, criteria: Sequence[CriterionName]
) -> dict[str, dict[str, float]]:
    """Return the rank correlation of all pairs of criteria; empty with a single criterion."""
    fitted = trial.classifier.scores_
    names = [name for name in dict.fromkeys(criteria) if name != fitted.criterion]
    if not names:
        return {}
    random_state, rows = trial.classifier.random_state, trial.supervision.distinct()
    distinct = [embeddings.take(rows) for embeddings in trial.train]
    labels = [trial.split.labels[i] for i in rows]
    signals = gather_signals(distinct, labels, names, random_state=random_state)
    scores = [
        fitted,
        *(
            score_layers(distinct, labels, name, signals=signals, random_state=random_state)
            for name in names
        ),
    ]
    return {
        first.criterion: {second.criterion: _rank_correlation(first, second) for second in scores}
        for first in scores
    }


def _rank_correlation(first: LayerScores, second: LayerScores) -> float:
    """Return Spearman's correlation over the layers that both criteria score.

    0 if there is only one such layer, or a criterion scores all of them alike.
    """
    shared = [ref for ref in first.refs if ref in second.refs]
    left, right = ([scores[ref] for ref in shared] for scores in (first, second))
    if len(set(left)) < 2 or len(set(right)) < 2:  # noqa: PLR2004
        return 0.0
    return float(spearmanr(left, right).statistic)
