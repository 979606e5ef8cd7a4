"""The values that make up a report: about data, layers and predictions."""

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
        Name of the data, for titles.
    n_train, n_test : int
        Numbers of training and test texts.
    classes : tuple of str
        Labels, sorted; all per-class numbers are in this order.
    n_repeated : int
        Training texts that repeat an earlier training text.
    n_conflicting : int
        Training texts that also occur with another label.
    n_leaked : int
        Test texts that also occur in the training texts; they make the result optimistic.
    n_folds : int
        Number of cross-validation folds; 0 with separate test texts. In cross-validation all texts
        are training and test texts, and each is predicted by a classifier fitted without its fold.
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
    """Gain of the result over another classifier on the same test texts.

    Parameters
    ----------
    points, low, high : float
        Difference in accuracy in percentage points, with its paired 95 % interval.
    mcnemar_p : float
        Two-sided p of McNemar's exact test of equal error rates.
    """

    points: float
    low: float
    high: float
    mcnemar_p: float


@dataclass(frozen=True, slots=True)
class Quality:
    """Metrics of one classifier on the test texts.

    Parameters
    ----------
    name : str
        Name of the row.
    kind : str
        ``tfidf``, ``last layer``, ``middle layer``, ``best layer``, ``layer mean``,
        ``last layers``, ``fusion``, ``one backbone``, ``without words`` or ``result``.
    accuracy, accuracy_low, accuracy_high : float
        Share of test texts predicted correctly, 0 .. 1, with its 95 % Wilson interval.
    macro_f1 : float
        Unweighted mean of the F1 of the classes that have test texts, 0 .. 1.
    log_loss : float
        Mean negative log probability of the true class, in nats.
    brier : float
        Mean squared distance of the probabilities from the one-hot true class, 0 .. 2.
    calibration_error : float
        Expected calibration error over 15 bins of equal width, 0 .. 1.
    gain : Gain, optional
        Gain of the result over this classifier; None for the result itself.
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
    """Metrics of the result for one class.

    Parameters
    ----------
    label : str
        The class.
    n_texts : int
        Test texts of the class.
    precision, recall, f1 : float
        0 .. 1; 0 if no text is predicted as the class or none belongs to it.
    """

    label: str
    n_texts: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class LayerLine:
    """Scores of all layers of one backbone under one pooling.

    Parameters
    ----------
    backbone, pooling : str
        Names of both.
    layers : tuple of int
        Layer numbers; 0 is the embedding output.
    scores : tuple of float
        Score of each layer; higher is better.
    standard_errors : tuple of float
        Standard errors of the scores, over texts; empty if unknown.
    chosen : tuple of bool
        Whether the classifier uses the layer.
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
            raise ShapeError(
                f"Expected {len(self.layers)} scores, standard errors and chosen flags, one per "
                "layer."
            )


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Test texts whose predictions have similar confidence.

    Parameters
    ----------
    confidence : float
        Mean of their highest probabilities.
    accuracy : float
        Share of them predicted correctly.
    n_texts : int
        Number of texts.
    """

    confidence: float
    accuracy: float
    n_texts: int


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A training text close to a test text.

    Parameters
    ----------
    text, label : str
        The training text.
    similarity : float
        Cosine similarity of the standardised features at the best layer, -1 .. 1.
    """

    text: str
    label: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Mistake:
    """A test text predicted wrongly.

    Parameters
    ----------
    text, truth, predicted : str
        The text, its true label and the predicted one.
    probability : float
        Probability of the predicted label, 0 .. 1.
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
    """How two backbones complement each other: their best layers, each with its own head.

    In cross-validation each fold finds its own best layers; the names are those for all texts.

    Parameters
    ----------
    first, second : str
        Names of the two layers.
    cka : float
        Debiased linear centred kernel alignment of both on the test texts, 0 .. 1; about 0 if
        they have nothing in common.
    disagreement : float
        Share of test texts that exactly one of them predicts correctly.
    oracle : float
        Share of test texts that at least one predicts correctly.
    """

    first: str
    second: str
    cka: float
    disagreement: float
    oracle: float


@dataclass(frozen=True, slots=True)
class SourceGate:
    """The weights that the fusion gives to a source.

    Parameters
    ----------
    name : str
        ``backbone:pooling``.
    mean, low, high : float
        Mean, 5th and 95th percentile of the weights over the test texts. In cross-validation:
        weights of the fusion fitted on all texts, over all texts.
    """

    name: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Accuracy after training on a part of the texts.

    Parameters
    ----------
    n_texts : int
        Number of training texts.
    name : str
        ``layerfuse`` or the name of a baseline.
    accuracy : tuple of float
        Accuracy on the test texts, one per draw.
    """

    n_texts: int
    name: str
    accuracy: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SeededBaseline:
    """Accuracy of one baseline under every seed.

    Parameters
    ----------
    name : str
        Its name, as in ``baselines``.
    accuracy : tuple of float
        Accuracy on the test texts, 0 .. 1, one per seed.
    """

    name: str
    accuracy: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Seeds:
    """Accuracy of the result and the baselines under every seed.

    Parameters
    ----------
    seeds : tuple of int
        Random seeds of folds and samples; the first is that of the result.
    accuracy : tuple of float
        Accuracy of the result on the test texts, 0 .. 1, one per seed.
    baselines : tuple of SeededBaseline
        Baselines that exist under every seed; empty with one seed.
    """

    seeds: tuple[int, ...]
    accuracy: tuple[float, ...]
    baselines: tuple[SeededBaseline, ...] = ()

    def __post_init__(self) -> None:
        columns = [self.accuracy, *(row.accuracy for row in self.baselines)]
        if not self.seeds or any(len(column) != len(self.seeds) for column in columns):
            raise ShapeError(
                f"Expected at least one seed, and one accuracy per seed in each row, got "
                f"{len(self.seeds)} seeds."
            )
