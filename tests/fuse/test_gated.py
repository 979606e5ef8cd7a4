"""Gates by text: start equal, move to the source that knows the label, fitted as if unseen."""

import numpy as np
import pytest
import torch

from layerfuse.core.layers import LayerRef
from layerfuse.core.supervision import Supervision
from layerfuse.fuse import FUSIONS, Concat, Gated, StaticGate
from layerfuse.fuse.gate import Gate, _weights
from layerfuse.fuse.gated import weighted_sum
from layerfuse.learn import Schedule, learn_committee
from layerfuse.train import fit_head

REFS = (LayerRef("a", 1, "mean"), LayerRef("b", 1, "mean"))
WIDTHS = (12, 20)


def problem(n_texts, *, by_text, seed=0):
    """Return blocks, labels, and which of the two sources carries the label of a text.

    A second feature of both tells which; without ``by_text`` it is the first one always. The
    other source says something of the same size, at random.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_texts) % 2)
    which = rng.integers(0, 2, n_texts) if by_text else np.zeros(n_texts, dtype=int)
    blocks = [rng.normal(size=(n_texts, width)).astype(np.float32) for width in WIDTHS]
    for source, block in enumerate(blocks):
        lie = rng.choice([-3, 3], n_texts)
        block[:, 0] += np.where(which == source, 3 * (2 * labels - 1), lie)
        block[:, 1] += 4 * (2 * which - 1)
    return blocks, labels, which


def log_loss(name, train, test, random_state=0):
    """Return the log loss on new texts, the held-out log loss, and the fusion."""
    fusion, vectors = FUSIONS[name].fit_fuse(train[0], REFS, Supervision.of(train[1], random_state))
    head, (candidate,) = fit_head(vectors, Supervision.of(train[1]), head="ridge")
    found = head.log_probabilities(fusion.fuse(test[0]))
    return -found[np.arange(len(test[1])), test[1]].mean(), candidate.log_loss, fusion


@pytest.fixture(autouse=True)
def brisk(monkeypatch):
    """Learn with a learning rate for few texts."""
    schedule = Schedule(2e-2, weight_decay=0.1, batch_texts=64, max_epochs=30, patience=4)
    monkeypatch.setattr("layerfuse.fuse.gate._SCHEDULE", schedule)


@pytest.fixture(scope="module")
def by_text():
    return problem(500, by_text=True), problem(1000, by_text=True, seed=1)


@pytest.mark.parametrize("name", ["gated", "experts"])
def test_gates_follow_the_source_that_carries_the_label_of_a_text(by_text, name):
    train, test = by_text
    static, *_ = log_loss("static_gate", train, test)
    found, foretold, fusion = log_loss(name, train, test)
    gates = fusion.gates(test[0])
    assert found < 0.6 * static
    assert foretold == pytest.approx(found, abs=0.08)  # training texts are fused as new ones are
    assert gates[test[2] == 1, 1].mean() > 0.7
    assert gates[test[2] == 0, 0].mean() > 0.7


@pytest.mark.parametrize("name", ["gated", "experts"])
def test_classes_of_one_text_do_not_spoil_gates(by_text, name):
    """Fits without these texts are confidently wrong about them, whatever the gates."""
    (blocks, labels, which), _ = by_text
    more, *_ = problem(500, by_text=True, seed=2)
    both = [np.concatenate(pair) for pair in zip(blocks, more, strict=True)]
    every = np.concatenate([labels, 2 + np.arange(500)])
    fusion, _ = FUSIONS[name].fit_fuse(both, REFS, Supervision.of(every))
    gates = fusion.gates(blocks)
    assert gates[which == 1, 1].mean() > 0.85
    assert gates[which == 0, 0].mean() > 0.85


@pytest.mark.parametrize("name", ["static_gate", "gated", "stacking"])
def test_gates_go_to_the_one_source_that_knows(name):
    train, test = problem(300, by_text=False), problem(300, by_text=False, seed=1)
    *_, fusion = log_loss(name, train, test)
    assert fusion.gates(test[0])[:, 0].mean() > 0.75


@pytest.fixture
def hasty(monkeypatch):
    """Learn for a few epochs only, for tests that need no good fit."""
    monkeypatch.setattr(
        "layerfuse.fuse.gate._SCHEDULE", Schedule(2e-2, batch_texts=64, max_epochs=5)
    )


def test_equal_gates_are_concat(by_text, hasty):
    blocks, labels, _ = by_text[0]
    fusion, _ = Gated.fit_fuse(blocks, REFS, Supervision.of(labels))
    even = Gate.constant(np.zeros(2, dtype=np.int64), np.full(2, 0.5, dtype=np.float32))
    plain = Concat.fit(blocks).fuse(blocks)
    np.testing.assert_allclose(Gated(fusion.common, even).fuse(blocks), plain, atol=1e-6)


def test_gates_start_where_static_ones_are(by_text, monkeypatch):
    """Without any epoch, gates equal those of ``static_gate``."""
    blocks, labels, _ = by_text[0]
    monkeypatch.setattr("layerfuse.fuse.gate._SCHEDULE", Schedule(max_epochs=0))
    started, vectors = Gated.fit_fuse(blocks, REFS, Supervision.of(labels))
    np.testing.assert_allclose(started.gates(blocks), [started.gate.prior] * 500, atol=1e-6)
    np.testing.assert_allclose(vectors, started.fuse(blocks), atol=1e-6)
    assert np.abs(started.gate.prior - 0.5).max() < 0.1
    static, _ = StaticGate.fit_fuse(blocks, REFS, Supervision.of(labels))
    np.testing.assert_allclose(static.gates(blocks), started.gates(blocks), atol=1e-6)


def test_noise_is_hardly_ever_trusted(by_text, hasty):
    """By chance, one draw of six gains more than one standard error."""
    blocks, labels, _ = by_text[0]
    trusted = []
    for seed in range(6):
        shuffled = np.random.default_rng(seed).permutation(labels)
        fusion, _ = Gated.fit_fuse(blocks, REFS, Supervision.of(shuffled))
        trusted.append(fusion.gate.trust > 0)
    assert sum(trusted) <= 2


def test_more_texts_than_gates_are_learned_on_are_gated_too(by_text, monkeypatch):
    monkeypatch.setattr("layerfuse.fuse.gate.MAX_LEARNING_TEXTS", 300)
    train, test = by_text
    found, foretold, fusion = log_loss("gated", train, test)
    assert found < 0.4
    assert foretold == pytest.approx(found, abs=0.1)
    assert np.corrcoef(fusion.gates(test[0])[:, 1], test[2])[0, 1] > 0.6


def test_order_of_sources_does_not_matter(by_text, hasty):
    blocks, labels, _ = by_text[0]
    one, _ = Gated.fit_fuse(blocks, REFS, Supervision.of(labels))
    other, _ = Gated.fit_fuse(blocks[::-1], REFS[::-1], Supervision.of(labels))
    gates, swapped = one.gates(blocks), other.gates(blocks[::-1])[:, ::-1]
    assert np.corrcoef(gates[:, 0], swapped[:, 0])[0, 1] > 0.95


def test_random_state_draws(by_text, hasty):
    blocks, labels, _ = by_text[0]
    one, other = (Gated.fit_fuse(blocks, REFS, Supervision.of(labels, s))[0] for s in (0, 1))
    assert not np.array_equal(one.gate.weights, other.gate.weights)


@pytest.mark.parametrize("shape", [(5, 3, 5), (2, 3)])
def test_numpy_weighs_as_torch_does(shape):
    rng = np.random.default_rng(0)
    weights, bias, inputs = (rng.normal(size=s).astype(np.float32) for s in (shape, 5, (40, 5, 3)))
    sets = np.array([0, 0, 1, 1, 1])
    plain = _weights(np, weights, bias, inputs, sets)
    tensors = (torch.from_numpy(one) for one in (weights, bias, inputs))
    np.testing.assert_allclose(_weights(torch, *tensors, sets).numpy(), plain, atol=1e-6)
    for i in range(40):  # slow and plain
        flat = inputs[i].ravel() @ weights.reshape(15, 5) if len(shape) == 3 else None
        scores = [inputs[i, p] @ weights[sets[p]] for p in range(5)] if flat is None else flat
        powers = np.exp(np.array(scores) + bias)
        for members in ([0, 1], [2, 3, 4]):
            want = powers[members] / powers[members].sum()
            np.testing.assert_allclose(plain[i, members], want, rtol=1e-4)


def test_a_set_far_below_another_still_sums_to_one():
    sets = np.array([0, 0, 1, 1])
    weights, inputs = np.zeros((2, 1), dtype=np.float32), np.zeros((3, 4, 1), dtype=np.float32)
    bias = np.array([500, 500, -500, -500], dtype=np.float32)
    np.testing.assert_allclose(_weights(np, weights, bias, inputs, sets), 0.5)


def test_evidence_is_weighed_and_summed():
    rng = np.random.default_rng(0)
    weights, parts, base = rng.random((4, 3)), rng.random((4, 3, 2)), rng.random((4, 2))
    for t in range(4):
        want = base[t] + sum(weights[t, p] * parts[t, p] for p in range(3))
        np.testing.assert_allclose(weighted_sum(np, weights, [parts, base])[t], want)


def test_dropout_never_leaves_a_set_without_parts():
    class Nothing:
        def keep(self, shape, share):
            return np.zeros(tuple(shape), dtype=np.float32)

    sets = np.zeros(3, dtype=np.int64)
    weights = np.zeros((1, 2), dtype=np.float32)
    inputs, bias = np.zeros((4, 3, 2), dtype=np.float32), np.zeros(3, dtype=np.float32)
    np.testing.assert_allclose(_weights(np, weights, bias, inputs, sets, Nothing()), 1 / 3)


def test_a_member_has_seen_no_text_of_a_group_that_it_is_judged_by(monkeypatch):
    members = []

    def learned(*inputs, **options):
        members.extend(learn_committee(*inputs, **options))
        return members

    monkeypatch.setattr("layerfuse.fuse.gate.learn_committee", learned)
    blocks, labels, _ = problem(200, by_text=True)
    groups = np.arange(200) // 2
    Gated.fit_fuse(blocks, REFS, Supervision(labels, np.ones(200), groups=groups))
    assert len(members) == 5
    for _, unseen in members:
        assert len(unseen) == 2 * len(set(groups[unseen].tolist()))
