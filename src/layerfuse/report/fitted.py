"""What a fitted classifier is: scores of its layers, weights of its sources, and other criteria."""

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
    """Return the score of every layer, one line per backbone and pooling."""
    scores, chosen = classifier.scores_, set(classifier.selection_.refs)
    errors = dict(zip(scores.refs, scores.standard_errors, strict=False))  # empty if not known
    lines = []
    for backbone, pooling in dict.fromkeys((ref.backbone, ref.pooling) for ref in scores.refs):
        own = sorted(r for r in scores.refs if (r.backbone, r.pooling) == (backbone, pooling))
        lines.append(
            LayerLine(
                backbone,
                pooling,
                tuple(ref.layer for ref in own),
                tuple(scores[ref] for ref in own),
                tuple(errors[ref] for ref in own if errors),
                tuple(ref in chosen for ref in own),
            )
        )
    return tuple(lines)


def source_gates(trial: Trial) -> tuple[SourceGate, ...]:
    """Return how much each source counts on the test texts; nothing if the fusion has no gates."""
    fusion, selection = trial.classifier.fusion_, trial.classifier.selection_
    if not isinstance(fusion, GatedFusion):
        return ()
    blocks = (own for _, own in trial.test_parts(selection.refs))
    gates = read_gates(fusion, selection, blocks)
    low, high = np.quantile(gates.weights, [0.05, 0.95], axis=0).tolist()
    means = gates.weights.mean(0).tolist()
    return tuple(map(SourceGate, gates.names, means, low, high))


def criteria_agreement(
    trial: Trial, criteria: Sequence[CriterionName]
) -> dict[str, dict[str, float]]:
    """Return the rank correlation of every two criteria over their layers; none for one."""
    own = trial.classifier.scores_
    names = [name for name in dict.fromkeys(criteria) if name != own.criterion]
    if not names:
        return {}
    random_state, rows = trial.classifier.random_state, trial.supervision.distinct()
    seen = [embeddings.take(rows) for embeddings in trial.train]
    labels = [trial.split.labels[i] for i in rows]
    signals = gather_signals(seen, labels, names, random_state=random_state)
    scores = [
        own,
        *(
            score_layers(seen, labels, name, signals=signals, random_state=random_state)
            for name in names
        ),
    ]
    return {
        one.criterion: {other.criterion: _rank_correlation(one, other) for other in scores}
        for one in scores
    }


def _rank_correlation(one: LayerScores, other: LayerScores) -> float:
    """Return Spearman's correlation over the layers that both have a value for.

    0 where there is one such layer, or one of the two puts all of them alike.
    """
    shared = [ref for ref in one.refs if ref in other.refs]
    left, right = ([scores[ref] for ref in shared] for scores in (one, other))
    if len(set(left)) < 2 or len(set(right)) < 2:  # noqa: PLR2004
        return 0.0
    return float(spearmanr(left, right).statistic)
