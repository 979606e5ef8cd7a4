"""``StudyConfig``: the settings of a study, read from a TOML file."""

import tomllib
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import pydantic

from layerfuse.backbone import Prompt
from layerfuse.classifier.options import SelectorChoice, check_seed
from layerfuse.core.errors import ReportError
from layerfuse.core.spec import Dtype
from layerfuse.fuse import FusionName
from layerfuse.score import CriterionName

_STRICT = pydantic.ConfigDict(extra="forbid")


@dataclass(frozen=True)
class StudyData:
    """One data set of a study.

    Parameters
    ----------
    train, test : str
        Files, folders, hub data sets or packages; relative paths start at the configuration.
    text_column, label_column : str, optional
        Columns of both. Default: guessed from the training texts.
    """

    __pydantic_config__ = _STRICT

    train: str
    test: str
    text_column: str | None = None
    label_column: str | None = None


@dataclass(frozen=True)
class StudyConfig:
    """The settings of a study.

    Parameters
    ----------
    data : dict of str to StudyData
        Data sets by their name in tables.
    backbones : dict of str to tuple of str
        Sets of backbones by name.
    fusions : tuple of FusionName
        Fusion of the result, then further fusions reported as rows.
    seeds : tuple of int
        Each is run on its own.
    criterion, selector
        As in ``FusionClassifier``.
    curve : tuple of int
        Texts a class at the points of the learning curve.
    max_ms, max_mb : float, optional
        For the selector ``budget``, as in ``FusionClassifier``.
    prompts : dict of str to tuple of str
        By name of a set of backbones, one prompt for each backbone in it.
    max_tokens : int, optional
        Longer texts are truncated to this.
    dtype : Dtype
        Precision of the backbones.
    """

    __pydantic_config__ = _STRICT

    data: dict[str, StudyData]
    backbones: dict[str, tuple[str, ...]]
    fusions: tuple[FusionName, ...] = ("concat",)
    seeds: tuple[int, ...] = (0,)
    criterion: CriterionName = "loo_ridge"
    selector: SelectorChoice = "auto"
    curve: tuple[int, ...] = ()
    max_ms: float | None = None
    max_mb: float | None = None
    prompts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    max_tokens: int | None = None
    dtype: Dtype = "float32"

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "StudyConfig":
        """Read a TOML file.

        Raises
        ------
        ReportError
            If it is not TOML or not a valid configuration; names the first invalid place.
        UnknownOptionError
            If a seed is invalid, or a prompt has a placeholder other than the text.
        OSError
            If the file cannot be read.
        """
        try:
            values = tomllib.loads(Path(path).read_text("utf-8"))
            config = _ADAPTER.validate_python(values)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
            raise ReportError(f"{path} is not a TOML file: {err}.") from err
        except pydantic.ValidationError as err:
            first = err.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            raise ReportError(f"{path}, {place}: {first['msg']}. See examples/.") from err
        for part in ("data", "backbones", "fusions", "seeds"):
            if not getattr(config, part):
                raise ReportError(f"{path}, {part}: expected at least one, got none.")
        for name, prompts in config.prompts.items():
            n_backbones = len(config.backbones.get(name, ()))
            if len(prompts) != n_backbones:
                raise ReportError(
                    f"{path}, prompts.{name}: expected one prompt for each of the {n_backbones} "
                    f"backbones of this set, got {len(prompts)}."
                )
            for prompt in prompts:
                Prompt.parse(prompt)
        for seed in config.seeds:
            check_seed(f"{path}, seeds", seed)
        if len(set(config.seeds)) < len(config.seeds):
            raise ReportError(f"{path}, seeds: expected distinct seeds, got {list(config.seeds)}.")
        return config

    def as_json(self) -> dict[str, object]:
        """Return all settings as JSON types."""
        values: dict[str, object] = _ADAPTER.dump_python(self, mode="json")
        return values


_ADAPTER = pydantic.TypeAdapter(StudyConfig)
