"""What character n-grams add to the TF-IDF head, on held-out training texts.

    python benchmarks/ngrams.py --data DIR/mr --out FILE

DIR/mr holds train.parquet with columns text and label; no test text is read. Prints one JSON line:
log loss, accuracy and seconds of the TF-IDF head without and with n-grams, each cross-validated;
the gain in log loss with its standard error; and whether n-grams are in use.
"""

import argparse
from pathlib import Path

import numpy as np
import record

from layerfuse.core.calibrate import text_log_losses
from layerfuse.core.supervision import Supervision
from layerfuse.train import fit_lexical, repeat_groups


def main() -> None:
    """Fit without and with n-grams, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--texts", type=int, help="a sample of the training texts")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    texts, labels = record.read_sample(args.data / "train.parquet", args.texts, ("text", "label"))
    classes = np.unique(labels, return_inverse=True)[1]
    supervision = Supervision.of(classes, groups=repeat_groups(texts))
    line = {"benchmark": "ngrams", "data": args.data.name, "n_texts": len(texts)}
    held_out, used = [], False
    for name, ngrams in (("without", False), ("with", True)):
        fits = []
        seconds = record.seconds(
            lambda ngrams=ngrams, fits=fits: fits.append(
                fit_lexical(texts, supervision, ngrams=ngrams)
            )
        )
        candidate, head = fits[0]
        line[name] = {
            "log_loss": round(candidate.log_loss, 4),
            "accuracy": round(100 * candidate.accuracy, 2),
            "seconds": round(seconds, 1),
        }
        held_out.append(text_log_losses(candidate.held_out, classes))
        used = bool(head.terms.ngrams)
    gains = held_out[0] - held_out[1]
    line["gain"] = round(float(gains.mean()), 4)
    line["standard_error"] = round(float(gains.std() / np.sqrt(len(gains))), 4)
    record.write({**line, "used": used}, args.out)


if __name__ == "__main__":
    main()
