"""``StudyConfig``: what a study goes over, read from a TOML file."""

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
        Files, folders, hub data sets or packages; a relative path is relative to the configuration.
    text_column, label_column : str, optional
        Of both sides. Default: guessed from the training texts.
    """

    __pydantic_config__ = _STRICT

    train: str
    test: str
    text_column: str | None = None
    label_column: str | None = None


@dataclass(frozen=True)
class StudyConfig:
    """What a study goes over.

    Parameters
    ----------
    data : dict of str to StudyData
        By the name that stands in tables.
    backbones : dict of str to tuple of str
        Sets of backbones by name.
    fusions : tuple of FusionName
        The first makes the result; others stand beside it.
    seeds : tuple of int
        Each is a run.
    criterion, selector
        As in ``FusionClassifier``.
    curve : tuple of int
        Texts a class of the learning curves.
    max_ms, max_mb : float, optional
        For the selector ``budget``, as in ``FusionClassifier``.
    prompts : dict of str to tuple of str
        By set of backbones: one for each of them, as in ``FusionClassifier``.
    max_tokens : int, optional
        Longer texts are truncated.
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
            If it is no TOML or does not say what a study needs; names the first place.
        UnknownOptionError
            If a seed is none, or a prompt has a place for something else than the text.
        OSError
            If it cannot be read.
        """
        try:
            values = tomllib.loads(Path(path).read_text("utf-8"))
            config = _ADAPTER.validate_python(values)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
            raise ReportError(f"{path} is no TOML file: {err}.") from err
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
                    f"{path}, prompts.{name}: expected one for each of {n_backbones} backbones of "
                    f"that name, got {len(prompts)}."
                )
            for prompt in prompts:
                Prompt.parse(prompt)
        for seed in config.seeds:
            check_seed(f"{path}, seeds", seed)
        if len(set(config.seeds)) < len(config.seeds):
            raise ReportError(f"{path}, seeds: expected each once, got {list(config.seeds)}.")
        return config

    def as_json(self) -> dict[str, object]:
        """Return all settings as values that JSON knows."""
        values: dict[str, object] = _ADAPTER.dump_python(self, mode="json")
        return values


_ADAPTER = pydantic.TypeAdapter(StudyConfig)
