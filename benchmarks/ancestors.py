"""The two published recipes that layerfuse starts from, each scored honestly and as published.

    python benchmarks/ancestors.py --data DIR --pair A B --llmembed DECODER ENCODER ENCODER

DIR holds train.parquet and test.parquet with columns text and label. ``--pair``: the fusions of
Gwak and Jung (arXiv 2504.05764) that concatenate two sources with their sum or product.
``--llmembed``: co-occurrence pooling of Liu et al. (ACL 2024) over the last five layers of a
decoder and the first token of two encoders. Heads, dropout, Adam at 1e-4, batches of 1,024 and 100
epochs are as published. The models differ, means leave out padding, and sources of another width
get a learned projection to 1,024 dimensions.

A tenth of the training texts, drawn for each seed, is held out. ``honest`` is the test accuracy of
the epoch with the highest accuracy on these texts. ``best test epoch`` is the highest test accuracy
of any epoch of the same fit; the public code of Gwak and Jung reports this, although it uses the
test labels.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import record
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from layerfuse import Backbone, LayerRef
from layerfuse.core.sample import sample_texts
from layerfuse.extract import DEFAULT_CACHE, embed_to_store, store_at

Operation = Literal["sum", "hadamard", "matmul", "quaternion"]

_WIDTH, _EPOCHS, _BATCH, _RATE, _HELD_OUT, _LAYERS = 1024, 100, 1024, 1e-4, 0.1, 5


class ResidualPair(nn.Module):
    """Two sources concatenated with their sum or product."""

    def __init__(self, widths: list[int], n_classes: int, operation: Operation) -> None:
        super().__init__()
        self.operation = operation
        self.project = nn.ModuleList(nn.Linear(width, _WIDTH) for width in widths)
        self.head = _head(3 * _WIDTH, n_classes, (0.5, 0.3))

    def forward(self, sources: list[Tensor]) -> Tensor:
        """Return logits (text, class)."""
        one, other = (project(x) for project, x in zip(self.project, sources, strict=True))
        fused = _combine(one, other, self.operation)
        logits: Tensor = self.head(torch.cat([one, other, fused], dim=1))
        return logits


class Cooccurrence(nn.Module):
    """Inner products of all sources, concatenated with the mean of the decoder's layers."""

    def __init__(self, widths: list[int], n_classes: int, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma
        self.project = nn.ModuleList(
            nn.Sequential(nn.Linear(width, _WIDTH), nn.ReLU(), nn.Dropout(0.5)) for width in widths
        )
        self.head = _head(len(widths) ** 2 + widths[0], n_classes, (0.5, 0.5))

    def forward(self, sources: list[Tensor]) -> Tensor:
        """Return probabilities (text, class), which the published loss treats as logits."""
        stack = torch.stack(
            [project(x) for project, x in zip(self.project, sources, strict=True)], dim=1
        )
        products = (stack @ stack.transpose(1, 2)).flatten(1)
        normalised = 2 * torch.sigmoid(self.sigma * products) - 1
        mean = torch.stack(sources[:_LAYERS]).mean(0)
        return torch.softmax(self.head(torch.cat([normalised, mean], dim=1)), dim=1)


def main() -> None:
    """Fit every recipe with every seed and print the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pair", nargs=2, metavar="FOLDER")
    operations = get_args(Operation)
    parser.add_argument("--operations", nargs="+", default=operations, choices=operations)
    parser.add_argument("--llmembed", nargs=3, metavar="FOLDER")
    parser.add_argument(
        "--sigma", type=float, default=0.1, help="set by hand, as in the publication"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    (texts, labels), (test_texts, test_labels) = record.read_splits(args.data)
    names, classes = np.unique(labels, return_inverse=True)
    truth, n_classes = np.searchsorted(names, test_labels), len(names)

    def run(name: str, sources: list[Tensor], make: Callable[[list[int]], nn.Module]) -> None:
        widths = [source.shape[1] for source in sources]
        fits = [_fit(make, widths, sources, classes, truth, seed) for seed in range(args.seeds)]
        line = {"benchmark": "ancestors", "data": args.data.name, "recipe": name}
        for i, protocol in enumerate(("honest", "best test epoch")):
            accuracies = [round(100 * fit[i], 2) for fit in fits]
            record.write({**line, "protocol": protocol, "accuracies": accuracies}, args.out)

    every = [*texts, *test_texts]
    if args.pair:
        pair = [source for folder in args.pair for source in _read(folder, every, "mean", 1)]
        of = " + ".join(Path(folder).name for folder in args.pair)
        for operation in args.operations:

            def residual(widths: list[int], operation: Operation = operation) -> nn.Module:
                return ResidualPair(widths, n_classes, operation)

            run(f"{operation}, residual: {of}", pair, residual)
    if args.llmembed:
        decoder, *encoders = args.llmembed
        sources = _read(decoder, every, "mean", _LAYERS)
        sources += [source for folder in encoders for source in _read(folder, every, "first", 1)]
        of = " + ".join(Path(folder).name for folder in args.llmembed)
        name = f"LLMEmbed, sigma {args.sigma}: {of}"
        run(name, sources, lambda w: Cooccurrence(w, n_classes, args.sigma))


def _read(folder: str, texts: list[str], pooling: str, n_layers: int) -> list[Tensor]:
    """Return the last layers of a backbone for all texts, the last layer first."""
    with store_at(DEFAULT_CACHE) as store:
        stored = embed_to_store(Backbone.from_pretrained(folder), texts, store)
        deepest = stored.model.deepest
        refs = [LayerRef(stored.backbone, deepest - i, pooling) for i in range(n_layers)]
        return [torch.from_numpy(np.asarray(stored.row(ref), dtype=np.float32)) for ref in refs]


def _fit(
    make: Callable[[list[int]], nn.Module],
    widths: list[int],
    sources: list[Tensor],
    classes: np.ndarray,
    truth: np.ndarray,
    seed: int,
) -> tuple[float, float]:
    """Return the test accuracy at the best epoch by validation, and at the best epoch by test."""
    n_train = len(classes)
    fitted = sample_texts(classes, round((1 - _HELD_OUT) * n_train), seed)
    judges = np.setdiff1d(np.arange(n_train), fitted)
    tests = np.arange(n_train, n_train + len(truth))
    targets = torch.from_numpy(classes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make(widths)
        optimiser = torch.optim.Adam(model.parameters(), lr=_RATE)
        curves = []
        for _ in range(_EPOCHS):
            model.train()
            for rows in _batches(fitted):
                loss = cross_entropy(model([one[rows] for one in sources]), targets[rows])
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                optimiser.step()
            judged = _predict(model, sources, judges) == classes[judges]
            curves.append([judged.mean(), (_predict(model, sources, tests) == truth).mean()])
    held_out, test = np.array(curves).T
    return float(test[held_out.argmax()]), float(test.max())


def _batches(rows: np.ndarray) -> Iterator[Tensor]:
    shuffled = torch.from_numpy(rows)[torch.randperm(len(rows))]
    return iter(shuffled.split(_BATCH))


def _predict(model: nn.Module, sources: list[Tensor], rows: np.ndarray) -> np.ndarray:
    model.eval()
    with torch.no_grad():
        return np.asarray(model([one[torch.from_numpy(rows)] for one in sources]).argmax(1))


def _head(width: int, n_classes: int, dropouts: tuple[float, float]) -> nn.Module:
    first, second = dropouts
    return nn.Sequential(
        nn.Linear(width, 1024),
        nn.ReLU(),
        nn.Dropout(first),
        nn.Linear(1024, 256),
        nn.ReLU(),
        nn.Dropout(second),
        nn.Linear(256, n_classes),
    )


def _combine(one: Tensor, other: Tensor, operation: Operation) -> Tensor:
    if operation == "sum":
        return one + other
    if operation == "hadamard":
        return one * other
    if operation == "matmul":
        return (one.view(-1, 32, 32) @ other.view(-1, 32, 32)).flatten(1)
    a, b, c, d = one.view(-1, _WIDTH // 4, 4).unbind(-1)
    w, x, y, z = other.view(-1, _WIDTH // 4, 4).unbind(-1)
    product = [
        a * w - b * x - c * y - d * z,
        a * x + b * w + c * z - d * y,
        a * y - b * z + c * w + d * x,
        a * z + b * y - c * x + d * w,
    ]
    return torch.stack(product, dim=-1).flatten(1)


if __name__ == "__main__":
    main()
