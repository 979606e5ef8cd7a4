"""What a report tells of data, layers and predictions: the small values it is made of."""

from dataclasses import dataclass

from layerfuse.core.errors import ShapeError

BEST_OF_ALL = "best layer of all"
"""Name of the baseline that is the best layer, by its score on the training texts."""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What was trained and tested on.

    Parameters
    ----------
    name : str
        For titles.
    n_train, n_test : int
        Texts.
    classes : tuple of str
        Labels, sorted; all per-class numbers are in this order.
    n_repeated : int
        Training texts that stand in the training texts before.
    n_conflicting : int
        Training texts that stand there with another label too.
    n_leaked : int
        Test texts that stand in the training texts too; the result is then rosier than it should
        be.
    n_folds : int
        0 where there are test texts. Else every text was predicted by what was fitted without its
        fold, of so many, so that all texts are both.
    """

    name: str
    n_train: int
    n_test: int
    classes: tuple[str, ...]
    n_repeated: int
    n_conflicting: int
    n_leaked: int
    n_folds: int = 0


@dataclass(frozen=True, slots=True)
class Gain:
    """How much better the result is than another classifier on the same test texts.

    Parameters
    ----------
    points, low, high : float
        Difference of the accuracies in percentage points, with its paired 95 % interval.
    mcnemar_p : float
        Two-sided p of McNemar's exact test that both err equally often.
    """

    points: float
    low: float
    high: float
    mcnemar_p: float


@dataclass(frozen=True, slots=True)
class Quality:
    """One classifier on the test texts.

    Parameters
    ----------
    name : str
        What it is.
    kind : str
        ``tfidf``, ``last layer``, ``middle layer``, ``best layer``, ``layer mean``,
        ``last layers``, ``fusion``, ``one backbone``, ``without words`` or ``result``.
    accuracy, accuracy_low, accuracy_high : float
        Share of test texts predicted right, 0 .. 1, with its 95 % Wilson interval.
    macro_f1 : float
        Unweighted mean of the F1 of the classes that have test texts, 0 .. 1.
    log_loss : float
        Mean negative log probability of the true class, in nats.
    brier : float
        Mean squared distance of the probabilities from the truth, 0 .. 2.
    calibration_error : float
        Expected calibration error over 15 bins of equal width, 0 .. 1.
    gain : Gain, optional
        Of the result over this; None for the result itself.
    """

    name: str
    kind: str
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    macro_f1: float
    log_loss: float
    brier: float
    calibration_error: float
    gain: Gain | None = None


@dataclass(frozen=True, slots=True)
class ClassQuality:
    """The result on the test texts of one class.

    Parameters
    ----------
    label : str
        The class.
    n_texts : int
        Test texts of it.
    precision, recall, f1 : float
        0 .. 1; 0 where nothing is predicted or there is nothing to predict.
    """

    label: str
    n_texts: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class LayerLine:
    """Score of every layer of one backbone under one pooling.

    Parameters
    ----------
    backbone, pooling : str
        Which.
    layers : tuple of int
        From 0, the embeddings.
    scores : tuple of float
        Higher is better.
    standard_errors : tuple of float
        Of the scores, over texts; empty if not known.
    chosen : tuple of bool
        Whether the layer is in use.
    """

    backbone: str
    pooling: str
    layers: tuple[int, ...]
    scores: tuple[float, ...]
    standard_errors: tuple[float, ...]
    chosen: tuple[bool, ...]

    def __post_init__(self) -> None:
        columns = self.scores, self.chosen, self.standard_errors or self.layers
        if any(len(column) != len(self.layers) for column in columns):
            raise ShapeError(f"{len(self.layers)} layers need as many scores, errors and marks")


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Test texts predicted about as confidently.

    Parameters
    ----------
    confidence : float
        Their mean highest probability.
    accuracy : float
        Share of them predicted right.
    n_texts : int
        How many.
    """

    confidence: float
    accuracy: float
    n_texts: int


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A training text near a test text.

    Parameters
    ----------
    text, label : str
        The training text.
    similarity : float
        Cosine of the two at the best layer, features standardised, -1 .. 1.
    """

    text: str
    label: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Mistake:
    """A test text predicted wrong.

    Parameters
    ----------
    text, truth, predicted : str
        The text and both labels.
    probability : float
        Of the predicted label, 0 .. 1.
    neighbours : tuple of Neighbour
        The nearest training texts.
    """

    text: str
    truth: str
    predicted: str
    probability: float
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True, slots=True)
class SourcePair:
    """How two backbones complement each other: the best layer of each, a head alone on each.

    In cross-validation each fold has found its own best layer; named is that of all texts.

    Parameters
    ----------
    first, second : str
        Layers.
    cka : float
        Debiased linear centred kernel alignment of the two on the test texts, 0 .. 1; about 0 for
        two that have nothing in common.
    disagreement : float
        Share of test texts where one is right and the other wrong.
    oracle : float
        Share of test texts that at least one predicts right.
    """

    first: str
    second: str
    cka: float
    disagreement: float
    oracle: float


@dataclass(frozen=True, slots=True)
class SourceGate:
    """How much the fusion lets a source count.

    Parameters
    ----------
    name : str
        ``backbone:pooling``.
    mean, low, high : float
        Mean weight over test texts, and its 5th and 95th percentile; in cross-validation over all
        texts, of the fusion fitted on them.
    """

    name: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Accuracy after training on part of the texts.

    Parameters
    ----------
    n_texts : int
        Training texts.
    name : str
        ``layerfuse`` or a baseline.
    accuracy : tuple of float
        On the test texts, one per draw.
    """

    n_texts: int
    name: str
    accuracy: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SeededBaseline:
    """A baseline under every seed.

    Parameters
    ----------
    name : str
        As among the baselines.
    accuracy : tuple of float
        On the test texts, 0 .. 1, one per seed.
    """

    name: str
    accuracy: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Seeds:
    """The result, and what it stands beside, again under other seeds.

    Parameters
    ----------
    seeds : tuple of int
        What drew folds and samples; the first made the result.
    accuracy : tuple of float
        Of the result on the test texts, 0 .. 1.
    baselines : tuple of SeededBaseline
        Those that every seed has; empty where there is one seed.
    """

    seeds: tuple[int, ...]
    accuracy: tuple[float, ...]
    baselines: tuple[SeededBaseline, ...] = ()

    def __post_init__(self) -> None:
        columns = [self.accuracy, *(row.accuracy for row in self.baselines)]
        if not self.seeds or any(len(column) != len(self.seeds) for column in columns):
            raise ShapeError(f"{len(self.seeds)} seeds need as many accuracies, at least one")
