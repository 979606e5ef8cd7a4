"""LayerRef and LayerEmbeddings: what they refuse and what they give back."""

import numpy as np
import pyarrow as pa
import pytest

from layerfuse.core.errors import LayerError, ShapeError, UnknownOptionError
from layerfuse.core.layers import POOLINGS, LayerEmbeddings, LayerRef
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Stability


def embeddings(n_layers=3, n_texts=4, hidden=5):
    values = np.arange(n_layers * n_texts * hidden, dtype=np.float32)
    refs = tuple(LayerRef("toy", i, "mean") for i in range(n_layers))
    return LayerEmbeddings(values.reshape(n_layers, n_texts, hidden), refs)


@pytest.mark.parametrize("backbone", ["bert", "org/model", "C:/models/bert", "a:b:c", "x:3:mean"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_parse_reads_what_str_writes(backbone, pooling):
    ref = LayerRef(backbone, 12, pooling)
    assert LayerRef.parse(str(ref)) == ref


@pytest.mark.parametrize(
    "text", ["", "bert", "bert:3", "bert:mean:3", "bert:-1:mean", "bert::mean"]
)
def test_parse_refuses_what_is_no_layer(text):
    with pytest.raises(LayerError, match="Expected backbone:layer:pooling"):
        LayerRef.parse(text)


@pytest.mark.unchecked
def test_parse_names_the_pooling_that_was_meant():
    with pytest.raises(UnknownOptionError, match="Did you mean 'mean'"):
        LayerRef.parse("bert:3:meen")


def test_ref_refuses_a_negative_layer():
    with pytest.raises(LayerError, match="layer=-1 of bert"):
        LayerRef("bert", -1, "mean")


def test_refs_sort_by_layer_as_a_number():
    refs = [LayerRef("b", layer, "mean") for layer in (10, 9, 2)]
    assert [ref.layer for ref in sorted(refs)] == [2, 9, 10]


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((2, 3), np.float32),
        np.zeros((2, 3, 4), np.float64),
        np.zeros((2, 3, 4), np.float16),
        np.zeros((2, 3, 4, 1), np.float32),
    ],
)
@pytest.mark.unchecked
def test_embeddings_refuse_wrong_shape_or_dtype(values):
    refs = (LayerRef("toy", 0, "mean"), LayerRef("toy", 1, "mean"))
    with pytest.raises(ShapeError, match=r"float32 array \(layer, text, hidden\)") as caught:
        LayerEmbeddings(values, refs)
    assert str(values.dtype) in str(caught.value)
    assert str(values.shape) in str(caught.value)


@pytest.mark.parametrize(
    "refs",
    [
        (),
        (LayerRef("toy", 0, "mean"),),
        (LayerRef("toy", 0, "mean"), LayerRef("toy", 0, "mean")),
        tuple(LayerRef("toy", i, "mean") for i in range(3)),
    ],
)
def test_embeddings_refuse_refs_that_are_not_one_distinct_per_row(refs):
    with pytest.raises(ShapeError, match="Expected 2 distinct layer refs"):
        LayerEmbeddings(np.zeros((2, 3, 4), np.float32), refs)


def test_embeddings_refuse_several_backbones():
    refs = (LayerRef("one", 0, "mean"), LayerRef("two", 0, "mean"))
    with pytest.raises(ShapeError, match="exactly one backbone"):
        LayerEmbeddings(np.zeros((2, 3, 4), np.float32), refs)


def test_the_same_layer_pooled_two_ways_is_two_rows():
    refs = (LayerRef("toy", 1, "mean"), LayerRef("toy", 1, "last"))
    values = np.stack([np.zeros((3, 4), np.float32), np.ones((3, 4), np.float32)])
    assert LayerEmbeddings(values, refs).row(refs[1]).min() == 1


def test_row_is_a_view():
    whole = embeddings()
    row = whole.row(whole.refs[1])
    assert np.shares_memory(row, whole.values)
    np.testing.assert_array_equal(row, whole.values[1])


def test_row_of_an_unknown_layer_lists_those_there_are():
    with pytest.raises(LayerError, match=r"toy:7:mean is not among.*toy:0:mean, toy:1:mean"):
        embeddings().row(LayerRef("toy", 7, "mean"))


def test_take_keeps_the_order_given_and_allows_repeats():
    whole = embeddings()
    part = whole.take(i for i in (3, 0, 3))
    np.testing.assert_array_equal(part.values, whole.values[:, [3, 0, 3]])
    assert part.values.flags["C_CONTIGUOUS"]
    assert part.refs == whole.refs


def test_sizes():
    whole = embeddings(n_layers=3, n_texts=4, hidden=5)
    assert (whole.backbone, whole.n_texts, whole.hidden_size) == ("toy", 4, 5)


@pytest.mark.unchecked
@pytest.mark.parametrize("mask", [np.array([True, False, True]), [True, False, True], [0.0, 2.0]])
def test_take_refuses_a_mask_which_it_would_read_as_texts_0_and_1(mask):
    embeddings = LayerEmbeddings(np.zeros((1, 3, 2), np.float32), (LayerRef("m", 0, "mean"),))
    with pytest.raises(ShapeError, match="flatnonzero gives those of a mask"):
        embeddings.take(mask)
    assert embeddings.take([]).n_texts == 0


@pytest.mark.unchecked
@pytest.mark.parametrize("layer", ["1", 1.0, None])
def test_a_layer_is_an_integer(layer):
    with pytest.raises(UnknownOptionError, match=r"layer=.* expected an integer"):
        LayerRef("m", layer, "mean")


@pytest.mark.unchecked
def test_features_of_ones_own_become_embeddings():
    """Refs may be in a list; float64, which NumPy makes by default, is told how to convert."""
    refs = [LayerRef("own", layer, "mean") for layer in range(2)]
    features = np.zeros((2, 5, 3))
    assert LayerEmbeddings(features.astype(np.float32), refs).refs == tuple(refs)
    with pytest.raises(ShapeError, match=r"float64 \(2, 5, 3\). Convert it by astype"):
        LayerEmbeddings(features, refs)
    with pytest.raises(ShapeError, match=r"float32 array .*, got list"):
        LayerEmbeddings(features.tolist(), refs)
    with pytest.raises(LayerError, match=r"got the string 'own:0:mean': LayerRef\.parse reads"):
        LayerEmbeddings(features.astype(np.float32), list(map(str, refs)))


@pytest.mark.unchecked
def test_a_layer_by_its_name_is_told_how_to_read_it():
    """It is among those that the message would list."""
    ref = LayerRef("m", 0, "mean")
    holders = (
        LayerEmbeddings(np.zeros((1, 3, 2), np.float32), (ref,)).row,
        LayerScores("c", (ref,), (1.0,)).__getitem__,
        Stability((ref,), (1.0,), (), 1).__getitem__,
    )
    for look_up in holders:
        with pytest.raises(LayerError, match=r"'m:0:mean': LayerRef\.parse reads"):
            look_up("m:0:mean")


@pytest.mark.unchecked
@pytest.mark.parametrize(
    "column",
    [np.array, pa.array, lambda positions: pa.array(positions).to_pandas(), iter],
    ids=["numpy", "pyarrow", "pandas", "iterator"],
)
def test_take_reads_positions_from_any_column(column):
    whole = embeddings()
    np.testing.assert_array_equal(whole.take(column([3, 1])).values, whole.values[:, [3, 1]])


@pytest.mark.unchecked
def test_take_refuses_positions_in_rows():
    with pytest.raises(ShapeError, match=r"int64 and shape \(2, 2\)"):
        embeddings().take([[0, 1], [2, 3]])
