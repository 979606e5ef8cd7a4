"""``Report``: the result of a comparison, saved as JSON, from which the pages are rendered."""

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Final, Literal

import pydantic

from layerfuse.core.errors import ReportError, ShapeError
from layerfuse.report.costs import Overheads
from layerfuse.report.facts import (
    ClassQuality,
    CurvePoint,
    DataFacts,
    Gain,
    LayerLine,
    Mistake,
    Quality,
    ReliabilityBin,
    Seeds,
    SourceGate,
    SourcePair,
)

REPORT_VERSION: Final = 1
JSON_NAME = "report.json"


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a comparison.

    Parameters
    ----------
    created : str
        Time of the comparison, ISO 8601, UTC.
    versions : dict of str to str
        Versions of layerfuse and of the packages that its numbers depend on.
    data : DataFacts
        Texts and labels.
    result : Quality
        Metrics of the classifier that is compared.
    baselines : tuple of Quality
        Metrics of the baselines and of variants of the result.
    gain : Gain
        Gain over the baseline that is best on the test texts, which favours the baseline.
    best_baseline : str
        Name of that baseline.
    classes : tuple of ClassQuality
        Metrics per class.
    confusion : tuple of tuple of int
        Number of test texts by true class (row) and predicted class (column).
    selection : tuple of str
        Chosen layers.
    reason : str
        Why these layers were chosen.
    criterion : str
        Criterion that scored the layers.
    layers : tuple of LayerLine
        Scores of all layers.
    fusion, head : str
        Names of the fusion and of the head.
    lexical : bool
        Whether the classifier includes the TF-IDF head.
    overhead : Overheads
        Costs.
    reliability : tuple of ReliabilityBin
        Calibration of the result's probabilities.
    mistakes : tuple of Mistake
        At most twenty, the most confident first.
    pairs : tuple of SourcePair
        All pairs of backbones.
    gates : tuple of SourceGate
        Empty if the fusion has no gates.
    agreement : dict of str to dict of str to float
        Rank correlation of criteria over all layers, 0 if one of them scores all layers alike;
        empty with one criterion.
    curve : tuple of CurvePoint
        Learning curve; empty if not requested.
    seeds : Seeds
        Accuracy under other seeds.
    prompts : dict of str to str
        Prompts by backbone; backbones without a prompt are left out.
    version : int
        Version of this format.
    """

    created: str
    versions: dict[str, str]
    data: DataFacts
    result: Quality
    baselines: tuple[Quality, ...]
    gain: Gain
    best_baseline: str
    classes: tuple[ClassQuality, ...]
    confusion: tuple[tuple[int, ...], ...]
    selection: tuple[str, ...]
    reason: str
    criterion: str
    layers: tuple[LayerLine, ...]
    fusion: str
    head: str
    lexical: bool
    overhead: Overheads
    reliability: tuple[ReliabilityBin, ...]
    mistakes: tuple[Mistake, ...]
    pairs: tuple[SourcePair, ...]
    gates: tuple[SourceGate, ...]
    agreement: dict[str, dict[str, float]]
    curve: tuple[CurvePoint, ...]
    seeds: Seeds
    prompts: dict[str, str] = field(default_factory=dict)
    version: Literal[1] = REPORT_VERSION

    def __post_init__(self) -> None:
        n_classes = len(self.data.classes)
        known = [part for part in (self.classes, self.confusion) if part]  # unknown ones are empty
        if any(len(part) != n_classes for part in (*known, *self.confusion)):
            raise ShapeError(
                f"Expected {n_classes} rows of class metrics and a square confusion matrix of "
                f"{n_classes} classes."
            )
        names = [row.name for row in self.baselines]
        if names and self.best_baseline not in names:
            raise ShapeError(f"best_baseline {self.best_baseline!r} is not among the baselines.")

    def to_json(self) -> str:
        """Return the JSON document; ``report_schema`` returns its schema."""
        return _ADAPTER.dump_json(self, indent=2).decode()

    @classmethod
    def from_json(cls, document: str | bytes) -> "Report":
        """Read a document that ``to_json`` returned.

        Raises
        ------
        ReportError
            If it is not a report of this format version.
        """
        return _read(document, "the document")

    def __str__(self) -> str:
        from layerfuse.report.plain import report_text  # noqa: PLC0415 - it reads this module

        return report_text(self)

    def _repr_html_(self) -> str:
        """Return the summary that notebooks show."""
        from layerfuse.report.html import report_summary  # noqa: PLC0415 - it reads this module

        return report_summary(self)

    @classmethod
    def load(cls, folder: str | PathLike[str]) -> "Report":
        """Read the report that ``layerfuse compare`` saved in a folder.

        Raises
        ------
        ReportError
            If there is none, or it has another format version.
        """
        path = Path(folder).expanduser() / JSON_NAME
        if not path.is_file():
            raise ReportError(
                f"Expected {JSON_NAME} in {folder}, found none. Run layerfuse compare."
            )
        return _read(path.read_bytes(), str(path))


def _read(document: str | bytes, name: str) -> Report:
    try:
        return _ADAPTER.validate_json(document)
    except pydantic.ValidationError as err:
        errors = err.errors()  # a wrong version explains all other errors
        first = next((error for error in errors if error["loc"] == ("version",)), errors[0])
        place = ".".join(map(str, first["loc"])) or "as a whole"
        found = f" (found {first['input']!r})" if place == "version" else ""
        raise ReportError(
            f"Expected {name} to be a layerfuse report of version {REPORT_VERSION}; {place}: "
            f"{first['msg']}{found}. Delete the old report or choose another folder, then run "
            "layerfuse compare or study again."
        ) from err


def report_schema() -> dict[str, object]:
    """Return the JSON schema of a report."""
    return _ADAPTER.json_schema()


_ADAPTER = pydantic.TypeAdapter(Report)
