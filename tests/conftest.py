"""Two tiny transformers with random weights, texts they can tell apart, a cache, and a report."""

import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from layerfuse import FusionClassifier

TOPICS = {
    "calm": [f"calm{i}" for i in range(8)],
    "loud": [f"loud{i}" for i in range(8)],
    "wild": [f"wild{i}" for i in range(8)],
}
COMMON = [f"word{i}" for i in range(12)]

Toy = Callable[..., tuple[list[str], list[str]]]


# Of packages that hold arrays. Others run without type checks, as do those marked one by one.
CHECKED = ("backbone", "contract", "core", "fuse", "report", "score", "select", "store", "train")

# Whole fits again and again, through lines that other tests run too: traced, they take half as long
# again.
UNTRACED = (
    "classifier/test_learning.py",
    "classifier/test_repeat.py",
    "classifier/test_sklearn.py",
    "cli/test_fit.py",
    "report/test_folds.py",
)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark what runs without type checks or coverage, and begin with slow tests, not end."""
    here = Path(__file__).parent
    checked, untraced = ({here / name for name in names} for names in (CHECKED, UNTRACED))
    for item in items:
        if item.path.parent not in checked:
            item.add_marker("unchecked")
        if item.path in untraced:
            item.add_marker("no_cover")
    yield
    items.sort(key=lambda item: "slow" not in item.keywords)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory, monkeypatch) -> Path:
    """Keep every test away from the user's cache."""
    folder = tmp_path_factory.mktemp("user-cache")
    monkeypatch.setenv("LAYERFUSE_CACHE", str(folder))
    return folder


def write_tiny(folder: Path, *, decoder: bool = False, seed: int = 0) -> Path:
    """Save a BERT or a Llama of three blocks, 32 wide, with a tokenizer of whole words."""
    import torch
    import transformers as tf
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    words = [*special, *COMMON, *(word for topic in TOPICS.values() for word in topic)]
    rust = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    rust.pre_tokenizer = pre_tokenizers.Whitespace()
    rust.post_processor = processors.TemplateProcessing(
        single="[CLS] $A" if decoder else "[CLS] $A [SEP]",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    names = {"bos_token": "[CLS]"} if decoder else {"cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = tf.PreTrainedTokenizerFast(
        tokenizer_object=rust, pad_token="[PAD]", unk_token="[UNK]", **names
    )
    config = (tf.LlamaConfig if decoder else tf.BertConfig)(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
        initializer_range=0.2,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tf.AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="session")
def tiny_encoder(tiny_folders) -> Path:
    """Folder of a BERT-like encoder: layers 0 to 3, pooled by mean."""
    return write_tiny(tiny_folders / "encoder")


@pytest.fixture(scope="session")
def tiny_decoder(tiny_folders) -> Path:
    """Folder of a Llama-like decoder: layers 0 to 3, pooled by mean and last."""
    return write_tiny(tiny_folders / "decoder", decoder=True, seed=1)


@pytest.fixture
def new_encoder(tmp_path) -> Callable[..., Path]:
    """Write an encoder of one's own, to be moved or changed."""
    return lambda name="own", seed=0: write_tiny(tmp_path / name, seed=seed)


@pytest.fixture(scope="session")
def toy() -> Toy:
    """Draw distinct texts of which each holds words of one topic only, and the topics."""

    def draw(
        n_texts: int = 48, topics: Sequence[str] = ("calm", "loud"), seed: int = 0
    ) -> tuple[list[str], list[str]]:
        rng = np.random.default_rng(seed)
        labels = [topics[i % len(topics)] for i in range(n_texts)]
        texts = [
            " ".join(rng.permutation([*rng.choice(TOPICS[label], 4), *rng.choice(COMMON, 3)]))
            for label in labels
        ]
        return texts, labels

    return draw


@pytest.fixture(scope="session")
def toy_texts(toy) -> list[str]:
    return toy()[0]


@pytest.fixture(scope="session")
def toy_labels(toy) -> list[str]:
    return toy()[1]


@pytest.fixture
def make(tiny_encoder) -> "Callable[..., FusionClassifier]":
    """Build a classifier on the tiny encoder, with a fast head and no lexical one.

    It shows no bars and keeps nothing, unless a test says otherwise.
    """
    from layerfuse import FusionClassifier

    def build(**options) -> FusionClassifier:
        plain = {
            "backbones": [str(tiny_encoder)],
            "head": "ridge",
            "lexical": False,
            "device": "cpu",
            "cache": None,
            "progress": False,
        }
        return FusionClassifier(**(plain | options))

    return build


@pytest.fixture(scope="session")
def modules_of_models(tmp_path_factory) -> Iterator[None]:
    """Let transformers keep code of models in a folder of the session.

    One for all tests: Python finds modules under the first that it imported one from.
    """
    with pytest.MonkeyPatch.context() as patch:
        folder = str(tmp_path_factory.mktemp("modules"))
        patch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", folder)
        yield


@pytest.fixture
def subprocess_environment() -> dict[str, str]:
    """Return the environment in which another Python finds the same packages and cache."""
    path = os.pathsep.join(filter(None, sys.path))
    # No other number of threads: sums in another order have other last bits.
    return os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": ""}


SCRIPT = "<script>alert(1)</script>"
QUOTES = "\"&' | `pipe` \\\\"
HEBREW = "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd"
HOSTILE = (SCRIPT, QUOTES, HEBREW)


@pytest.fixture(scope="session")
def hostile() -> tuple[str, ...]:
    """Texts that want to be more than text; each stands in texts, labels and names of a report."""
    return HOSTILE


@pytest.fixture(scope="session")
def make_report() -> Callable[..., Any]:
    """Make up a report that knows of everything; its numbers are drawn."""
    return report_of


def report_of(n_classes: int = 8, n_layers: int = 12, seed: int = 0) -> Any:
    """Make up what three backbones would give on a few hundred texts of some classes."""
    from layerfuse.report import costs as c
    from layerfuse.report import facts as f
    from layerfuse.report.document import Report

    rng = np.random.default_rng(seed)
    backbones = ("all-MiniLM-L6-v2", f"organisation/{SCRIPT}", f"a model {QUOTES}")
    labels = tuple(sorted([*HOSTILE, *(f"class {i}" for i in range(n_classes - len(HOSTILE)))]))
    counts = rng.poisson(0.4, (n_classes, n_classes)) + np.diag(rng.integers(10, 40, n_classes))

    def quality(name: str, kind: str, accuracy: float, points: float | None = None) -> f.Quality:
        gain = None
        if points is not None:
            gain = f.Gain(points, points - 0.9, points + 1.1, 0.031 if points > 0.9 else 0.42)
        low, high = accuracy - 0.02, accuracy + 0.018
        return f.Quality(name, kind, accuracy, low, high, accuracy - 0.03, 0.4, 0.2, 0.05, gain)

    def line(backbone: str, pooling: str, top: float) -> f.LayerLine:
        depth = np.arange(n_layers + 1)
        scores = top - 0.3 * (depth / n_layers - 0.7) ** 2 + rng.normal(0, 0.002, n_layers + 1)
        chosen = tuple(bool(is_near) for is_near in scores > scores.max() - 0.004)
        errors = tuple(rng.uniform(0.003, 0.006, n_layers + 1).tolist())
        return f.LayerLine(
            backbone, pooling, tuple(depth.tolist()), tuple(scores.tolist()), errors, chosen
        )

    layers = tuple(
        line(backbone, pooling, -0.2 - 0.02 * i - 0.01 * j)
        for i, backbone in enumerate(backbones)
        for j, pooling in enumerate(("mean", "first"))
    )
    criteria = ("loo_ridge", "logme", "knn", "anisotropy")
    correlations = np.clip(rng.normal(0.4, 0.5, (4, 4)), -1, 1)
    near = tuple(
        f.Neighbour(f"{text} and on " * 20, label, similarity)
        for text, label, similarity in zip(HOSTILE, labels, (0.98, 0.9, 0.81, 0.5), strict=False)
    )
    return Report(
        created="2026-11-24T12:00:00Z",
        versions={"layerfuse": "0.1.0", "numpy": "2.3.0", "torch": "2.9.0"},
        data=f.DataFacts(f"reviews {SCRIPT}", 1200, 2000, labels, 12, 3, 7),
        result=quality("layerfuse: 5 layers, gated, with TF-IDF", "result", 0.912),
        baselines=(
            quality("TF-IDF + logistic regression", "tfidf", 0.853, 5.9),
            quality(f"last layer of {backbones[0]} (mean)", "last layer", 0.872, 4.0),
            quality(f"last layer of {backbones[1]} (mean)", "last layer", 0.861, 5.1),
            quality(f"best validated layer: {backbones[2]}:8:mean", "best layer", 0.899, 1.3),
            quality(f"layerfuse on {backbones[2]} alone", "one backbone", 0.904, 0.8),
            quality("layerfuse: 5 layers, gated", "without words", 0.897, 1.5),
            quality(f"without {HEBREW}", "without a backbone", 0.909, 0.3),
            quality("layerfuse: 5 layers, concat", "fusion", 0.915, -0.3),
        ),
        gain=f.Gain(1.3, 0.4, 2.4, 0.031),
        best_baseline=f"best validated layer: {backbones[2]}:8:mean",
        classes=tuple(
            f.ClassQuality(label, int(row.sum()), *rng.uniform(0.6, 1, 3).tolist())
            for label, row in zip(labels, counts, strict=True)
        ),
        confusion=tuple(tuple(row.tolist()) for row in counts),
        selection=tuple(f"{name}:{i + 7}:mean" for i, name in enumerate(backbones)),
        reason="within one standard error of the best",
        criterion="loo_ridge",
        layers=layers,
        fusion="gated",
        head="logistic",
        lexical=True,
        overhead=c.Overheads(
            c.FitCosts(61.2, 14.8, 20.4, 3 * 2**30, 250 * 2**20),
            c.PredictionCosts(
                170_123_456,
                131_234_567,
                24_680,
                500 * 2**20,
                11.2e9,
                38.2,
                51.7,
                44.5,
                2**31,
                2**28,
            ),
            (
                c.Choice(backbones, 0.914, 0.912, 22.471, 500 * 2**20, True, False),
                c.Choice(backbones[:2], 0.909, 0.905, 14.2, 300 * 2**20, True, True),
                c.Choice(backbones[1:], 0.901, 0.9, 18.3, 250 * 2**20, False, False),
                c.Choice(backbones[:1], 0.872, 0.87, 4.105, 80 * 2**20, True, False),
            ),
            tuple(c.Marginal(b, 0.004 * i - 0.002, 5.1 + i) for i, b in enumerate(backbones)),
            tuple(c.LayerMarginal(f"{b}:7:mean", 0.0013, 0.0005, 0.4) for b in backbones),
        ),
        reliability=tuple(
            f.ReliabilityBin(x, max(0.0, x - 0.04), int(400 * x**3))
            for x in np.linspace(0.3, 0.98, 9)
        ),
        mistakes=tuple(
            f.Mistake(text, labels[i], labels[-1 - i], 0.99 - i / 10, near)
            for i, text in enumerate([*HOSTILE, "long " * 200])
        ),
        pairs=tuple(
            f.SourcePair(f"{a}:8:mean", f"{b}:9:mean", 0.5 + i / 10, 0.1 + i / 50, 0.95)
            for i, (a, b) in enumerate(itertools.combinations(backbones, 2))
        ),
        gates=tuple(
            f.SourceGate(f"{b}:mean", 0.2 + i / 5, 0.1 + i / 5, 0.3 + i / 5)
            for i, b in enumerate(backbones)
        ),
        agreement={
            a: {b: 1.0 if a == b else float(correlations[i, j]) for j, b in enumerate(criteria)}
            for i, a in enumerate(criteria)
        },
        curve=tuple(
            f.CurvePoint(n, name, tuple((top - 8 / n**0.8 + rng.normal(0, 0.01, 3)).tolist()))
            for name, top in (
                ("layerfuse: 5 layers, gated, with TF-IDF", 0.93),
                ("TF-IDF + logistic regression", 0.86),
            )
            for n in (75, 150, 300, 600, 1200)
        ),
        seeds=f.Seeds((0, 1, 2), (0.912, 0.9095, 0.914)),
    )
