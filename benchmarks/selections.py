"""One backbone or all: what held-out texts choose with few texts, and what is better on new ones.

    python benchmarks/selections.py --data DIR/mr --backbone A --backbone B --texts 250 700

DIR/mr holds train.parquet with columns text and label; no test text is read. For each number of
texts, training texts are drawn, a classifier is fitted on the layers of ``upper_top`` and on those
of ``best_backbone``, and both predict up to 3,000 of the other training texts. Prints one JSON line
per draw: log loss and accuracy of both, and which of them their held-out log losses choose.
Embeddings are kept in the user's cache.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import record
from sklearn.model_selection import train_test_split

from layerfuse import Backbone
from layerfuse.classifier.blocks import read_blocks
from layerfuse.classifier.fusing import FusedHead, fuse_best
from layerfuse.core.calibrate import text_log_losses
from layerfuse.core.selection import Selection
from layerfuse.core.supervision import Supervision
from layerfuse.extract import DEFAULT_CACHE, StoredEmbeddings, embed_to_store, store_at
from layerfuse.score import score_layers
from layerfuse.select import select_layers
from layerfuse.train import repeat_groups

_SELECTORS = ("upper_top", "best_backbone")
_NEW_TEXTS = 3000  # at most, to predict


def main() -> None:
    """Fit on every draw, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", action="append", required=True)
    parser.add_argument("--texts", type=int, nargs="+", required=True, help="sizes of the draws")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--sample", type=int, help="training texts to draw from (default: all)")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    texts, labels = record.read_sample(args.data / "train.parquet", args.sample, ("text", "label"))
    backbones = [Backbone.from_pretrained(folder) for folder in args.backbone]
    with store_at(DEFAULT_CACHE) as store:
        stored = [embed_to_store(backbone, texts, store) for backbone in backbones]
        for n_texts in args.texts:
            for draw in range(args.draws):
                line = {
                    "benchmark": "selections",
                    "data": args.data.name,
                    "backbones": [backbone.name for backbone in backbones],
                    "sample": args.sample,
                    "n_texts": n_texts,
                    "draw": draw,
                    **_compare(stored, texts, np.array(labels), n_texts, draw),
                }
                record.write(line, args.out)


def _compare(
    stored: Sequence[StoredEmbeddings],
    texts: Sequence[str],
    labels: np.ndarray,
    n_texts: int,
    draw: int,
) -> dict[str, object]:
    train, new = train_test_split(
        np.arange(len(labels)), train_size=n_texts, stratify=labels, random_state=draw
    )
    new = new[np.isin(labels[new], labels[train])][:_NEW_TEXTS]
    names, classes = np.unique(labels[train], return_inverse=True)
    drawn = [texts[i] for i in train]
    supervision = Supervision.of(classes, draw, groups=repeat_groups(drawn))
    own = [embeddings.take(train) for embeddings in stored]
    distinct = supervision.distinct()
    scores = score_layers([one.take(distinct) for one in own], classes[distinct], random_state=draw)
    selections = [
        select_layers(scores, selector, embeddings=own, labels=classes) for selector in _SELECTORS
    ]
    fit = partial(
        fuse_best,
        read=partial(read_blocks, own),
        texts=drawn,
        supervision=supervision,
        fusion="concat",
    )
    chosen, fused = fit(selections)
    taken = [selection.refs for selection in selections].index(chosen.refs)
    _, other = fit([selections[1 - taken]])
    fits = (fused, other) if taken == 0 else (other, fused)
    others = [embeddings.take(new) for embeddings in stored]
    rows = {
        selector: _quality(
            one, selection, others, [texts[i] for i in new], np.searchsorted(names, labels[new])
        )
        for selector, selection, one in zip(_SELECTORS, selections, fits, strict=True)
    }
    return {"taken": _SELECTORS[taken], "n_new": len(new), "rows": rows}


def _quality(
    fused: FusedHead,
    selection: Selection,
    stored: Sequence[StoredEmbeddings],
    texts: Sequence[str],
    truth: np.ndarray,
) -> dict[str, object]:
    vectors = fused.fusion.fuse(read_blocks(stored, selection.refs))
    log_probabilities = np.log(fused.head.probabilities(vectors, texts))
    return {
        "backbones": list(selection.backbones),
        "n_layers": len(selection.refs),
        "held_out_log_loss": round(fused.best.log_loss, 4),
        "log_loss": round(float(text_log_losses(log_probabilities, truth).mean()), 4),
        "accuracy": round(100 * float((log_probabilities.argmax(1) == truth).mean()), 2),
    }


if __name__ == "__main__":
    main()
