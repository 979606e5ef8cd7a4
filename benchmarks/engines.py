"""Which engine runs the blocks fastest: torch as it is, torch.compile, or OpenVINO.

    python benchmarks/engines.py --data DIR/mr --backbone FOLDER --texts 1000 --out FILE

All engines embed the same texts in the same order at every layer under ``mean``, interleaved, with
tokenisation. torch.compile and OpenVINO get the batches of layerfuse; OpenVINO chooses how many of
them run at once. The line also has the seconds until an engine is ready for texts of any length,
and the lowest cosine between its vectors and those of torch in float32. OpenVINO is left out if it
is not installed.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import record
import torch

from layerfuse import Backbone
from layerfuse.backbone.tokens import TokenizedTexts, tokenize
from layerfuse.core.spec import Dtype

Run = Callable[[list[str]], np.ndarray]
"""From texts to vectors (layer, text, hidden)."""

_TOKENS = 1024  # tokens of a batch, as in layerfuse
_READY_TEXTS = 64  # of all lengths, so that an engine that compiles by length has seen them


def main() -> None:
    """Run one case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    (texts,) = record.read_sample(args.data / "train.parquet", args.texts)
    ready: dict[str, float] = {}
    engines: dict[str, Run] = {}
    makers = {"torch": _torch, "torch.compile": _compiled, "OpenVINO": _openvino}
    dtypes: tuple[Dtype, ...] = ("float32", "bfloat16")
    for dtype in dtypes:
        for name, make in makers.items():
            # Each engine gets its own model, because compiling changes it.
            backbone = Backbone.from_pretrained(
                args.backbone, pooling="mean", device="cpu", dtype=dtype
            )
            started = time.perf_counter()
            try:
                engine = make(backbone)
            except ImportError:
                continue
            by_length = sorted(texts, key=len)
            engine(by_length[:: max(1, len(texts) // _READY_TEXTS)])
            engines[f"{name} {dtype}"] = engine
            ready[f"{name} {dtype}"] = round(time.perf_counter() - started, 1)
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    vectors: dict[str, np.ndarray] = {}
    for _ in range(args.rounds):
        for name, engine in engines.items():
            started = time.perf_counter()
            vectors[name] = engine(texts)
            seconds[name].append(time.perf_counter() - started)
    record.write(
        {
            "benchmark": "engines",
            "backbone": args.backbone.name,
            "data": args.data.name,
            "n_texts": len(texts),
            "seconds": {name: record.spread(values) for name, values in seconds.items()},
            "over_torch": {
                name: record.ratios(values, seconds[f"torch {name.split()[-1]}"])
                for name, values in seconds.items()
            },
            "seconds_until_ready": ready,
            "lowest_cosine": {
                name: _lowest_cosine(found, vectors["torch float32"])
                for name, found in vectors.items()
            },
        },
        args.out,
    )


def _torch(backbone: Backbone) -> Run:
    return lambda texts: backbone.embed(texts, progress=False).values


class _AllLayers(torch.nn.Module):
    """Maps ids and mask to the mean-pooled states of all layers, (layer, text, hidden)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states = self.model(
            input_ids=ids, attention_mask=mask, output_hidden_states=True
        ).hidden_states
        weights = mask.unsqueeze(-1).to(states[0].dtype)
        return torch.stack([(s * weights).sum(1) / weights.sum(1) for s in states]).float()


def _compiled(backbone: Backbone) -> Run:
    import torch._inductor.config as inductor

    inductor.freezing = True  # weights become constants that are packed once
    compiled = torch.compile(_AllLayers(backbone.model).eval(), dynamic=True)

    @torch.no_grad()
    def run(texts: list[str]) -> np.ndarray:
        tokens, batches = _batches(backbone, texts)
        values = [compiled(*_padded(backbone, tokens, batch)).numpy() for batch in batches]
        return _in_place(values, batches)

    return run


def _openvino(backbone: Backbone) -> Run:
    import openvino

    tokens, batches = _batches(backbone, ["two words", "and three words"])
    example = _padded(backbone, tokens, batches[0])
    with torch.no_grad():
        # Weights stay in float32; the precision option applies to the products.
        whole = _AllLayers(backbone.model.float()).eval()
        converted = openvino.convert_model(whole, example_input=example)
    precision = {torch.float32: "f32", torch.bfloat16: "bf16"}[getattr(torch, backbone.spec.dtype)]
    compiled = openvino.Core().compile_model(
        converted, "CPU", {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "THROUGHPUT"}
    )

    def run(texts: list[str]) -> np.ndarray:
        tokens, batches = _batches(backbone, texts)
        values: list[np.ndarray] = [np.empty(0)] * len(batches)

        def keep(request: Any, place: int) -> None:
            values[place] = request.get_output_tensor().data.copy()

        queue = openvino.AsyncInferQueue(compiled)
        queue.set_callback(keep)
        for place, batch in enumerate(batches):
            queue.start_async([t.numpy() for t in _padded(backbone, tokens, batch)], place)
        queue.wait_all()
        return _in_place(values, batches)

    return run


def _batches(backbone: Backbone, texts: list[str]) -> tuple[TokenizedTexts, list[np.ndarray]]:
    """Return the tokens and positions of all batches, the longest texts first."""
    tokens = tokenize(backbone.tokenizer, texts, backbone.spec.max_tokens, "")
    rest, batches = tokens.longest_first(), []
    while len(rest):
        (batch,) = tokens.batches(rest, _TOKENS, 1)
        batches.append(batch)
        rest = rest[len(batch) :]
    return tokens, batches


def _padded(
    backbone: Backbone, tokens: TokenizedTexts, batch: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    return tokens.padded(batch, backbone.tokenizer.pad_token_id or 0)


def _in_place(values: list[np.ndarray], batches: list[np.ndarray]) -> np.ndarray:
    """Concatenate the batches and restore the order of the texts."""
    return np.concatenate(values, axis=1)[:, np.argsort(np.concatenate(batches))]


def _lowest_cosine(found: np.ndarray, expected: np.ndarray) -> float:
    products = (found * expected).sum(-1)
    cosines = products / (np.linalg.norm(found, axis=-1) * np.linalg.norm(expected, axis=-1))
    return round(float(cosines.min()), 7)


if __name__ == "__main__":
    main()
