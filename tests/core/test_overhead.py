"""Overhead: plain JSON types out."""

import json

from layerfuse.core.overhead import Overhead


def test_round_trip_through_json():
    overhead = Overhead(1.5, 100, 50, n_texts=3)
    assert Overhead(**json.loads(json.dumps(overhead.to_dict()))) == overhead
