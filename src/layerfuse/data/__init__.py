"""Reads texts and labels from files, folders, the hub and packages; writes tables atomically."""

from layerfuse.data.encode import json_line, json_rows
from layerfuse.data.formats import EXTENSIONS
from layerfuse.data.labels import check_labels, index_labels
from layerfuse.data.load import (
    LabelledTextData,
    TextData,
    TextStream,
    iter_batches,
    load_test_texts,
    load_texts,
)
from layerfuse.data.predictions import with_predictions
from layerfuse.data.sources import find_file, test_split
from layerfuse.data.write import TableWriter

__all__ = [
    "EXTENSIONS",
    "LabelledTextData",
    "TableWriter",
    "TextData",
    "TextStream",
    "check_labels",
    "find_file",
    "index_labels",
    "iter_batches",
    "json_line",
    "json_rows",
    "load_test_texts",
    "load_texts",
    "test_split",
    "with_predictions",
]
