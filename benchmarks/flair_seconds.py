"""Seconds that flair takes for all layers of some texts: run by a Python that has flair.

python flair_seconds.py MODEL TEXTS.json MAX_TOKENS
"""

import json
import sys
import time
from pathlib import Path

import flair
import torch
from flair.data import Sentence
from flair.embeddings import TransformerDocumentEmbeddings

_BATCH = 32


def main() -> None:
    """Embed in batches of 32 and print the seconds."""
    flair.device = torch.device("cpu")
    model, file, max_tokens = sys.argv[1:]
    texts = json.loads(Path(file).read_text("utf-8"))
    embedder = TransformerDocumentEmbeddings(
        model, layers="all", layer_mean=False, cls_pooling="mean", fine_tune=False
    )
    embedder.tokenizer.model_max_length = int(max_tokens)
    embedder.embed([Sentence(text or ".") for text in texts[:40]])  # warm-up, as for the others
    started = time.perf_counter()
    for start in range(0, len(texts), _BATCH):
        batch = [Sentence(text or ".") for text in texts[start : start + _BATCH]]
        embedder.embed(batch)
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
