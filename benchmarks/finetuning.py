"""What freezing costs: one backbone fine-tuned, beside the same one frozen under layerfuse.

    python benchmarks/finetuning.py --data DIR --backbone FOLDER --out FILE

DIR holds train.parquet and test.parquet with columns text and label; each uses the test
set once. Fine-tuning is the usual recipe, without a search: AdamW, 5e-5 falling to 0 after a
warm-up of a tenth, batches of 32 texts of similar length, 3 epochs.
"""

import argparse
from pathlib import Path

import numpy as np
import record
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    get_linear_schedule_with_warmup,
)

from layerfuse import FusionClassifier

_BATCH, _EPOCHS, _RATE, _DECAY, _MAX_TOKENS = 32, 3, 5e-5, 0.01, 512


def main() -> None:
    """Run one case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    (texts, labels), (test_texts, test_labels) = record.read_splits(args.data)
    names, classes = np.unique(labels, return_inverse=True)
    truth = np.searchsorted(names, test_labels)
    accuracy: dict[str, float] = {}

    def frozen() -> None:
        classifier = FusionClassifier(
            [args.backbone], cache=None, device="cpu", progress=False, random_state=args.seed
        )
        found = classifier.fit(texts, labels).predict(test_texts)
        accuracy["layerfuse, frozen"] = float((found == np.array(test_labels)).mean())

    def tuned() -> None:
        found = _fine_tune(args.backbone, texts, classes, test_texts, args.seed)
        accuracy["fine-tuned"] = float((found == truth).mean())

    seconds = {"layerfuse, frozen": record.seconds(frozen), "fine-tuned": record.seconds(tuned)}
    for name, value in accuracy.items():
        record.write(
            {
                "benchmark": "fine-tuning",
                "data": args.data.name,
                "backbone": args.backbone.name,
                "n_train": len(texts),
                "n_test": len(test_texts),
                "row": name,
                "seed": args.seed,
                "accuracy": round(100 * value, 2),
                "seconds": round(seconds[name], 1),
            },
            args.out,
        )


def _fine_tune(
    folder: Path, texts: list[str], classes: np.ndarray, test_texts: list[str], seed: int
) -> np.ndarray:
    """Train all weights, and return the class of each test text."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=int(classes.max()) + 1
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=_DECAY)
    n_steps = _EPOCHS * -(-len(texts) // _BATCH)
    schedule = get_linear_schedule_with_warmup(optimizer, n_steps // 10, n_steps)

    def run(rows: np.ndarray, source: list[str]) -> torch.Tensor:
        tokens = tokenizer(
            [source[i] for i in rows],
            padding=True,
            truncation=True,
            max_length=_MAX_TOKENS,
            return_tensors="pt",
        )
        return model(**tokens).logits

    model.train()
    for _ in range(_EPOCHS):
        for rows in _batches(texts, rng):
            loss = torch.nn.functional.cross_entropy(
                run(rows, texts), torch.as_tensor(classes[rows])
            )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    model.eval()
    found = np.empty(len(test_texts), dtype=int)
    with torch.inference_mode():
        for rows in _batches(test_texts, rng):
            found[rows] = run(rows, test_texts).argmax(1).numpy()
    return found


def _batches(texts: list[str], rng: np.random.Generator) -> list[np.ndarray]:
    """Return batches of positions of texts of similar length, in random order."""
    lengths = np.array([len(text) for text in texts]) * rng.uniform(0.9, 1.1, len(texts))
    order = np.argsort(lengths)
    batches = [order[i : i + _BATCH] for i in range(0, len(texts), _BATCH)]
    return [batches[i] for i in rng.permutation(len(batches))]


if __name__ == "__main__":
    main()
