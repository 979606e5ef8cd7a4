"""Blocks are found automatically if possible, and otherwise named by the user."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from layerfuse.backbone import Backbone
from layerfuse.backbone.blocks import Blocks, find_blocks
from layerfuse.backbone.probe import is_causal
from layerfuse.backbone.tap import LayerTap
from layerfuse.core.errors import BackboneLoadError, LayerError
from layerfuse.core.layers import LayerRef

PATHS = {
    "bert": "encoder.layer",
    "distilbert": "transformer.layer",
    "albert": "encoder.albert_layer_groups",
    "modernbert": "layers",
    "t5": "encoder.block",
    "gpt2": "h",
    "opt": "decoder.layers",
    "gemma3": "layers",
}


class Block(nn.Module):
    """Doubles what it gets."""

    def __init__(self, parts=0):
        super().__init__()
        self.weight = nn.Parameter(torch.full((1,), 2.0))
        self.parts = nn.ModuleList(nn.Identity() for _ in range(parts))

    def forward(self, hidden):
        return hidden * self.weight


class Model(nn.Module):
    """An embedding and lists of blocks of which ``running`` runs."""

    def __init__(self, running="towers.0", n_layers=3, **lists):
        super().__init__()
        self.config = SimpleNamespace(num_hidden_layers=n_layers)
        self.embedding = nn.Embedding(8, 4)
        self.running = running
        for name, length in lists.items():
            setattr(self, name, nn.ModuleList(Block(parts=n_layers) for _ in range(length)))

    def forward(self, input_ids, attention_mask):
        hidden = self.embedding(input_ids) * attention_mask.unsqueeze(-1)
        for block in getattr(self, self.running):
            hidden = block(hidden)
        return hidden


@pytest.mark.parametrize("name", PATHS)
def test_blocks_of_known_families(tiny, name):
    backbone = Backbone.from_pretrained(tiny.folder(name), device="cpu")
    assert backbone.blocks.path == PATHS[name]
    assert backbone.blocks.shared == (name == "albert")


def test_lists_of_other_lengths_and_lists_inside_blocks_are_ignored():
    blocks = find_blocks(Model(blocks=3, adapters=5))
    assert (blocks.path, blocks.n_layers, len(blocks.outputs)) == ("blocks", 3, 3)
    assert (blocks.requested, find_blocks(Model(blocks=3, adapters=5), "blocks").requested) == (
        "",
        "",
    )


def test_two_block_lists_of_the_right_length_need_a_path_to_choose_one():
    model = Model(queries=3, documents=3, heads=2)
    with pytest.raises(BackboneLoadError, match="exactly one list of 3 blocks") as caught:
        find_blocks(model)
    message = str(caught.value)
    assert "blocks=..." in message
    for described in ("queries (3)", "documents (3)", "heads (2)"):
        assert described in message
    assert "parts" not in message
    found = find_blocks(model, "documents")
    assert found.container is model.documents
    assert found.requested == "documents"
    assert found.n_layers == 3


def test_a_model_without_a_block_list_of_the_right_length_is_refused():
    with pytest.raises(BackboneLoadError, match=r"found 0.*the lists are: heads \(2\)"):
        find_blocks(Model(heads=2))
    with pytest.raises(BackboneLoadError, match="the lists are: none"):
        find_blocks(Model())


def test_a_path_that_is_not_a_list_is_refused():
    with pytest.raises(BackboneLoadError, match=r"blocks='embedding' is not a list.*blocks \(3\)"):
        find_blocks(Model(blocks=3), "embedding")


def test_a_block_list_that_never_runs_is_an_error():
    """Without the error, the result would have no rows."""
    model = Model(running="queries", queries=3, documents=3).requires_grad_(requires_grad=False)
    right, wrong = find_blocks(model, "queries"), find_blocks(model, "documents")
    ids = torch.tensor([[1, 2, 3]])
    refs = (LayerRef("m", 0, "mean"), LayerRef("m", 3, "mean"))
    with LayerTap(right, refs) as tap:
        values = tap.run(model, ids, torch.ones_like(ids))
    torch.testing.assert_close(torch.from_numpy(values[1]), torch.from_numpy(8 * values[0]))
    with (
        LayerTap(wrong, refs) as tap,
        pytest.raises(LayerError, match="ended after layer 0, expected layer 3"),
    ):
        tap.run(model, ids, torch.ones_like(ids))


def test_hooks_are_removed_after_use_and_after_a_failure(bert):
    def hooks():
        return [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in bert.model.modules()]

    before = hooks()
    bert.embed(["a"])
    assert hooks() == before
    tap = LayerTap(bert.blocks, bert.refs)
    with pytest.raises(RuntimeError), tap:
        tap.run(bert.model, torch.zeros(1, 1000, dtype=torch.int64), torch.ones(1, 1000))
    assert hooks() == before


def test_causal_attention_is_detected_from_the_first_token():
    same = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    assert is_causal(same)
    assert not is_causal(same + torch.tensor([[0.0, 0.0], [0.0, 0.01]]))


def test_albert_with_as_many_layers_in_a_group_as_blocks(tiny, tmp_path):
    """The list inside the group fits by its length, but the group is what runs n_layers times."""
    folder = tiny.write("albert", tmp_path / "albert", inner_group_num=3)
    backbone = Backbone.from_pretrained(folder, pooling="mean", device="cpu")
    assert backbone.blocks.path == "encoder.albert_layer_groups"
    # transformers also reports the states inside a group, here three for each layer.
    states = tiny.run_plain(backbone.model, backbone.tokenizer, tiny.texts[1])[::3]
    got = backbone.embed(tiny.texts[1:2]).values[:, 0]
    want = [tiny.pool_plain(state, "mean") for state in states]
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_blocks_that_are_called_many_times_are_marked_as_shared():
    blocks = nn.ModuleList([Block()])
    assert Blocks("b", blocks, tuple(blocks), 3).shared
    assert not Blocks("b", blocks, tuple(blocks), 1).shared
