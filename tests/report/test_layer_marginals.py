"""layer_marginals: what a ridge classifier, fitted again without each text, loses with a layer."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from layerfuse.core.costs import DepthCosts
from layerfuse.core.layers import LayerEmbeddings, LayerRef
from layerfuse.core.selection import Selection
from layerfuse.core.supervision import Supervision
from layerfuse.report.layer_marginals import layer_marginals

REFS = (*(LayerRef("a", layer, "mean") for layer in range(3)), LayerRef("b", 1, "mean"))
COSTS = (DepthCosts("a", (1.0, 2.0, 4.0), (1, 2, 3)), DepthCosts("b", (3.0, 7.0), (1, 2)))


@pytest.fixture
def data():
    """Layer 1 of a predicts the labels; the others are noise, and layers 0 and 2 are equal."""
    rng = np.random.default_rng(0)
    labels = np.array([0, 1] * 20)
    noise = rng.normal(size=(3, 40, 6)).astype(np.float32)
    blocks = [noise[0], noise[1] + 3 * labels[:, None].astype(np.float32), noise[0]]
    return [
        LayerEmbeddings(np.stack(blocks), REFS[:3]),
        LayerEmbeddings(noise[2][None], REFS[3:]),
    ], labels


def plain_scores(layers, labels, n_layers):
    """Return Brier scores of ridge on the concatenation, fitted again without each text."""
    blocks = [(x - x.mean(0)) / x.std(0) for x in layers]
    kernel = sum(x @ x.T / x.shape[1] for x in blocks)
    targets = np.eye(2)[labels]
    best = None
    for penalty in (0.03, 0.3, 3.0, 30.0):
        losses = []
        for i in range(len(labels)):
            rest = np.delete(np.arange(len(labels)), i)
            # The intercept is not penalised: it is a constant feature of nearly infinite weight.
            wide = kernel + 1e6
            fit = KernelRidge(alpha=penalty * n_layers, kernel="precomputed")
            fit.fit(wide[np.ix_(rest, rest)], targets[rest])
            losses.append(np.square(fit.predict(wide[[i]][:, rest]) - targets[i]).sum())
        if best is None or np.mean(losses) < np.mean(best):
            best = np.array(losses)
    return best


def test_gains_equal_those_of_refits_without_each_text(data):
    blocks, labels = data
    layers = [np.asarray(block.row(ref), float) for block in blocks for ref in block.refs]
    found = layer_marginals(blocks, Selection(REFS, "all"), Supervision.of(labels), COSTS)
    assert [one.name for one in found] == [str(ref) for ref in REFS]
    whole = plain_scores(layers, labels, 4)
    for i, one in enumerate(found):
        gains = plain_scores(layers[:i] + layers[i + 1 :], labels, 4) - whole
        assert one.gain == pytest.approx(gains.mean(), abs=1e-3)
        assert one.standard_error == pytest.approx(gains.std() / np.sqrt(40), abs=1e-3)
    assert max(found, key=lambda one: one.gain).name == "a:1:mean"


def test_only_the_deepest_layer_of_a_backbone_costs_time(data):
    blocks, labels = data
    found = layer_marginals(blocks, Selection(REFS, "all"), Supervision.of(labels), COSTS)
    assert [one.milliseconds for one in found] == [0, 0, 2.0, 7.0]


def test_a_layer_without_information_has_no_gain(data):
    """There are more texts than are used, so this also covers the sample."""
    blocks, labels = data
    many = [LayerEmbeddings(np.tile(block.values, (1, 30, 1)), block.refs) for block in blocks]
    dead = many[1].values
    dead[:] = 0.1
    known = Supervision.of(np.tile(labels, 30))
    found = layer_marginals(many, Selection(REFS, "all"), known, COSTS)
    assert (found[3].gain, found[3].standard_error) == (0, 0)
    assert max(found, key=lambda one: one.gain).name == "a:1:mean"


def test_a_single_layer_has_no_marginals(data):
    blocks, labels = data
    assert layer_marginals(blocks, Selection(REFS[1:2], "one"), Supervision.of(labels), COSTS) == ()


def test_marginals_use_one_text_of_each_group_of_near_duplicates(data):
    blocks, labels = data
    many = [LayerEmbeddings(np.tile(block.values, (1, 3, 1)), block.refs) for block in blocks]
    known = Supervision(np.tile(labels, 3), np.ones(120), groups=np.tile(np.arange(40), 3))
    once = layer_marginals(blocks, Selection(REFS, "all"), Supervision.of(labels), COSTS)
    assert layer_marginals(many, Selection(REFS, "all"), known, COSTS) == once
