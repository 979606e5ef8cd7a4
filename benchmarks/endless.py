"""Memory while millions of tiny texts stream from a generator through a tiny random model.

    python benchmarks/endless.py --texts 10000000 --out FILE

This measures everything except the model: windows, deduplication, tokens, batches, positions.
Prints the resident memory after each tenth of the texts.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import record
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from layerfuse import Backbone

_WORDS = 1000
_POINTS = 10


def main() -> None:
    """Stream the texts once."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=10_000_000)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        backbone = _tiny_backbone(Path(folder))
        resident: list[int] = []
        seconds = record.seconds(lambda: resident.extend(_memory_mib(backbone, args.texts)))
    record.write(
        {
            "benchmark": "endless",
            "n_texts": args.texts,
            "texts_per_second": round(args.texts / seconds),
            "resident_mib": resident,
        },
        args.out,
    )


def _memory_mib(backbone: Backbone, n_texts: int) -> Iterator[int]:
    """Yield the resident memory after each tenth of the texts."""
    process = psutil.Process()
    texts = (f"w{i % _WORDS} w{i // _WORDS % _WORDS} w{i // _WORDS**2}" for i in range(n_texts))
    done, points = 0, 0
    for positions, _ in backbone.stream(texts, backbone.refs, progress=False):
        done += len(positions)
        if done * _POINTS >= (points + 1) * n_texts:
            points += 1
            yield round(process.memory_info().rss / 2**20)


def _tiny_backbone(folder: Path) -> Backbone:
    vocabulary = {"[PAD]": 0, "[UNK]": 1, **{f"w{i}": i + 2 for i in range(_WORDS)}}
    rust = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    rust.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=rust, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=16,
    )
    transformers.BertModel(config).save_pretrained(folder)
    return Backbone.from_pretrained(folder, pooling="mean", device="cpu")


if __name__ == "__main__":
    main()
