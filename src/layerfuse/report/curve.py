"""Learning curves: accuracy by the number of training texts."""

from collections import Counter
from collections.abc import Sequence

from tqdm import tqdm

from layerfuse.core.errors import ShapeError, as_integer
from layerfuse.report.baselines import RESULT, layer_at
from layerfuse.report.facts import BEST_OF_ALL, CurvePoint
from layerfuse.report.split import drawn
from layerfuse.report.trial import Trial

_LEAST = 2  # texts a class; below, nothing can be held out
_ROWS = (RESULT, BEST_OF_ALL, "last layer of its backbone")


def check_curve(per_class: Sequence[int], n_draws: int) -> None:
    """Raise unless all sizes and the number of draws are valid.

    Raises
    ------
    ShapeError
        If a size is below two texts a class, or there is no draw.
    UnknownOptionError
        If one of them is not an integer.
    """
    per_class = [as_integer("curve", size) for size in per_class]
    if as_integer("n_draws", n_draws) < 1:
        raise ShapeError(f"Expected at least one draw for learning curves, got {n_draws}.")
    if any(size < _LEAST for size in per_class):
        raise ShapeError(
            f"Expected at least {_LEAST} texts a class for learning curves, got {min(per_class)}."
        )


def learning_curve(
    trial: Trial, per_class: Sequence[int], n_draws: int = 5
) -> tuple[CurvePoint, ...]:
    """Fit again on several draws of few texts of each class.

    Parameters
    ----------
    trial : Trial
        Trial of the classifier on all texts.
    per_class : sequence of int
        Training texts a class. Classes with fewer texts contribute all, and sizes above the
        largest class count as its size. Equal sizes are fitted once.
    n_draws : int
        Draws of texts at each size.

    Returns
    -------
    tuple of CurvePoint
        Per size, the classifier, the best layer by its score on the drawn texts, and the last layer
        of its backbone. At the end, the same three on all texts, unless a size has all of them.

    Raises
    ------
    ShapeError
        As ``check_curve``.
    """
    check_curve(per_class, n_draws)
    hidden = None if trial.classifier.progress else True
    points: list[CurvePoint] = []
    most = max(Counter(trial.split.labels).values())
    for size in sorted({min(int(size), most) for size in per_class}):
        rows = [drawn(trial.split.labels, size, seed) for seed in range(n_draws)]
        draws = [
            _accuracies(trial.again(seed, chosen))
            for seed, chosen in enumerate(tqdm(rows, f"{size} a class", disable=hidden))
        ]
        points += _points(len(rows[0]), draws)
    n_texts = len(trial.split.texts)
    if points and all(point.n_texts < n_texts for point in points):
        points += _points(n_texts, [_accuracies(trial)])
    return tuple(points)


def _points(n_texts: int, draws: Sequence[tuple[float, ...]]) -> list[CurvePoint]:
    by_row = zip(*draws, strict=True)
    return [
        CurvePoint(n_texts, name, accuracy) for name, accuracy in zip(_ROWS, by_row, strict=True)
    ]


def _accuracies(trial: Trial) -> tuple[float, ...]:
    best = trial.classifier.scores_.best
    stored = next(stored for stored in trial.train if stored.backbone == best.backbone)
    last = layer_at(stored, 1.0)
    predictions = trial.result(), trial.predict((best,)), trial.predict((last,))
    return tuple(trial.accuracy(probabilities) for probabilities in predictions)
