"""``Report``: what a comparison found, as one value that is saved as JSON and drawn from it."""

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
    """What a comparison found.

    Parameters
    ----------
    created : str
        ISO 8601, UTC.
    versions : dict of str to str
        Of layerfuse and what its numbers rest on.
    data : DataFacts
        Texts and labels.
    result : Quality
        The classifier under test.
    baselines : tuple of Quality
        What it stands beside; the best of them is the one to beat.
    gain : Gain
        Of the result over the baseline that is best on the test texts, which favours the baseline.
    best_baseline : str
        Its name.
    classes : tuple of ClassQuality
        Class by class.
    confusion : tuple of tuple of int
        Test texts: row the true class, column the predicted one.
    selection : tuple of str
        Layers in use.
    reason : str
        Why these.
    criterion : str
        What scored the layers.
    layers : tuple of LayerLine
        Scores of all layers.
    fusion, head : str
        Names.
    lexical : bool
        Whether TF-IDF votes too.
    overhead : Overheads
        Costs.
    reliability : tuple of ReliabilityBin
        Of the result's probabilities.
    mistakes : tuple of Mistake
        At most twenty, the most confident first.
    pairs : tuple of SourcePair
        Every two backbones.
    gates : tuple of SourceGate
        Empty where the fusion has none.
    agreement : dict of str to dict of str to float
        Rank correlation of criteria over all layers, 0 where one of them orders nothing; empty
        where only one was asked for.
    curve : tuple of CurvePoint
        Learning curve; empty if not asked for.
    seeds : Seeds
        Other seeds.
    prompts : dict of str to str
        By backbone, of those that were read with one.
    version : int
        Of this form.
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
        # What is not known is empty; what is known agrees.
        n_classes = len(self.data.classes)
        known = [column for column in (self.classes, self.confusion) if column]
        if any(len(column) != n_classes for column in (*known, *self.confusion)):
            raise ShapeError(f"{n_classes} classes need as many lines, and a square of confusions")
        names = [row.name for row in self.baselines]
        if names and self.best_baseline not in names:
            raise ShapeError(f"the best baseline, {self.best_baseline!r}, is none of the baselines")

    def to_json(self) -> str:
        """Return the document; ``report_schema`` tells its form."""
        return _ADAPTER.dump_json(self, indent=2).decode()

    @classmethod
    def from_json(cls, document: str | bytes) -> "Report":
        """Read what ``to_json`` gave.

        Raises
        ------
        ReportError
            If it is not a report of this version.
        """
        return _read(document, "the document")

    def __str__(self) -> str:
        from layerfuse.report.plain import report_text  # noqa: PLC0415 - it reads this module

        return report_text(self)

    def _repr_html_(self) -> str:
        """Return the answer as notebooks show it."""
        from layerfuse.report.html import report_summary  # noqa: PLC0415 - it reads this module

        return report_summary(self)

    @classmethod
    def load(cls, folder: str | PathLike[str]) -> "Report":
        """Read the report that ``layerfuse compare`` saved in a folder.

        Raises
        ------
        ReportError
            If there is none, or of another version.
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
        errors = err.errors()  # another version says why all else is not as expected
        first = next((one for one in errors if one["loc"] == ("version",)), errors[0])
        place = ".".join(map(str, first["loc"])) or "as a whole"
        found = f" (found {first['input']!r})" if place == "version" else ""
        raise ReportError(
            f"Expected {name} to be a layerfuse report of version {REPORT_VERSION}; {place}: "
            f"{first['msg']}{found}. Make it again with layerfuse compare or study, elsewhere or "
            "without the old one."
        ) from err


def report_schema() -> dict[str, object]:
    """Return the JSON schema of a report's document."""
    return _ADAPTER.json_schema()


_ADAPTER = pydantic.TypeAdapter(Report)
