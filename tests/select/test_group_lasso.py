"""group_lasso: its solutions are the optimum; copies stay out."""

import numpy as np
import pytest
from scipy.optimize import minimize

from layerfuse.core.errors import SelectionError
from layerfuse.core.scores import LayerScores
from layerfuse.select import select_layers
from layerfuse.select.group_lasso import fit_blocks, whitened


def problem(n_texts=80, widths=(3, 2, 4, 3), n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(n_classes, size=n_texts)
    features = [rng.normal(size=(n_texts, width)) for width in widths]
    features[0][:, 0] += labels
    features[1][:, 0] += 0.5 * labels + 0.5 * features[0][:, 0]
    targets = np.eye(n_classes)[labels]
    return [whitened(x - x.mean(0)) for x in features], targets - targets.mean(0)


def solve(blocks, targets, penalty):
    coefficients = [np.zeros((x.shape[1], targets.shape[1])) for x in blocks]
    fit_blocks(blocks, targets, penalty, coefficients, 1e-10)
    return coefficients


def objective(blocks, targets, penalty, coefficients):
    fitted = sum(x @ b for x, b in zip(blocks, coefficients, strict=True))
    norms = sum(np.sqrt(len(b)) * np.linalg.norm(b) for b in coefficients)
    return np.sum((targets - fitted) ** 2) / (2 * len(targets)) + penalty * norms


PENALTIES = [0.002, 0.02, 0.05, 0.1, 10.0]


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("seed", range(3))
def test_solutions_satisfy_the_karush_kuhn_tucker_conditions(penalty, seed):
    """Karush-Kuhn-Tucker: Yuan and Lin 2006, equations 2.2 and 2.3."""
    blocks, targets = problem(seed=seed)
    coefficients = solve(blocks, targets, penalty)
    residuals = targets - sum(x @ b for x, b in zip(blocks, coefficients, strict=True))
    for x, b in zip(blocks, coefficients, strict=True):
        pull = x.T @ residuals / len(targets)
        limit = penalty * np.sqrt(x.shape[1])
        if b.any():
            np.testing.assert_allclose(pull, limit * b / np.linalg.norm(b), atol=1e-8)
        else:
            assert np.linalg.norm(pull) <= limit + 1e-8


def test_a_lower_penalty_uses_more_blocks():
    used = [sum(b.any() for b in solve(*problem(), penalty)) for penalty in PENALTIES]
    assert used[0] == 4
    assert used[-1] == 0
    assert 0 < used[2] < 4
    assert used == sorted(used, reverse=True)


@pytest.mark.parametrize("penalty", [0.02, 0.05])
def test_no_general_solver_finds_a_lower_objective(penalty):
    blocks, targets = problem()
    shapes = [(x.shape[1], targets.shape[1]) for x in blocks]
    ends = np.cumsum([a * b for a, b in shapes])[:-1]

    def unpack(flat):
        return [p.reshape(s) for p, s in zip(np.split(flat, ends), shapes, strict=True)]

    start = np.full(sum(a * b for a, b in shapes), 0.01)
    other = minimize(
        lambda f: objective(blocks, targets, penalty, unpack(f)), start, method="L-BFGS-B"
    )
    own = objective(blocks, targets, penalty, solve(blocks, targets, penalty))
    assert own <= other.fun + 1e-12
    assert own == pytest.approx(other.fun, rel=1e-3)


@pytest.mark.parametrize("shape", [(60, 5), (60, 50), (30, 90)])
def test_whitened_features_are_the_leading_principal_components(shape):
    rng = np.random.default_rng(0)
    features = rng.normal(size=shape) * np.logspace(0, -1, shape[1])
    features -= features.mean(0)
    block = whitened(features)
    width = min(32, *shape) if shape[0] > shape[1] else min(32, shape[0] - 1)
    assert block.shape == (shape[0], width)
    np.testing.assert_allclose(block.T @ block / shape[0], np.eye(width), atol=1e-8)
    leading = np.linalg.svd(features)[0][:, :width]
    np.testing.assert_allclose(leading @ (leading.T @ block), block, atol=1e-6)


def test_a_constant_layer_has_no_principal_component():
    assert whitened(np.zeros((20, 5), dtype=np.float32)).shape == (20, 0)


def choose(block, labels, **options):
    scores = LayerScores("c", block.refs, (0.0,) * len(block.refs))
    selection = select_layers(scores, "group_lasso", embeddings=block, labels=labels, **options)
    return [ref.layer for ref in selection]


def test_group_lasso_takes_complements_and_neither_noise_nor_constant_layers(embed, complements):
    a, b, labels = complements
    noise = np.random.default_rng(1).normal(size=(3, *a.shape))
    block = embed([noise[0], a, np.full_like(a, 0.3), noise[1], b, noise[2]])
    assert sorted(choose(block, labels)) == [1, 4]
    assert sorted(choose(block, labels, k=2)) == [1, 4]


def test_group_lasso_takes_few_layers_if_all_are_noise(embed):
    sizes = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        block = embed(rng.normal(size=(5, 150, 20)))
        sizes.append(len(choose(block, rng.permutation(np.arange(150) % 2))))
    assert sizes.count(1) >= 4
    assert max(sizes) <= 3


def test_the_first_layer_is_taken_if_all_are_constant(embed):
    assert choose(embed(np.ones((3, 40, 4))), [0, 1] * 20) == [0]


def test_a_k_above_the_layers_on_the_penalty_path_is_refused(embed, complements):
    a, _, labels = complements
    with pytest.raises(SelectionError, match=r"k=2, but only 1 layers enter the group lasso"):
        choose(embed([a, np.full_like(a, 0.3)]), labels, k=2)
