"""Evidence equals the decisions of refits without each text, split by hand."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from layerfuse.core.calibrate import fit_temperature
from layerfuse.core.ridge import one_hot, ridge_path
from layerfuse.core.supervision import Supervision
from layerfuse.fuse.evidence import held_out_evidence


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_parts_and_base_are_those_of_a_fit_without_each_text(weighted, n_classes, grouped):
    rng = np.random.default_rng(0)
    n_texts = 30
    labels = rng.permutation(np.arange(n_texts) % n_classes)
    parts = [rng.normal(size=(n_texts, 5)).astype(np.float32) for _ in range(3)]
    parts[0][:, 0] += labels
    parts = [part - part.mean(0) for part in parts]
    weights = rng.uniform(0.5, 2, n_texts) if weighted else np.ones(n_texts)
    groups = np.arange(n_texts) // 3 if grouped else None
    supervision = Supervision(labels, weights, groups=groups)
    evidence = held_out_evidence(lambda: iter(parts), supervision)

    total, targets = sum(parts).astype(float), one_hot(labels)
    share = weights / weights.sum()
    path = ridge_path(total, weights=weights)
    penalty, _ = path.best(targets, groups)
    errors = path.loo_errors(targets, penalty, groups)
    temperature = fit_temperature(targets - errors, supervision)
    own = np.arange(n_texts) if groups is None else groups
    for i in range(n_texts):
        rest = own != own[i]
        model = Ridge(alpha=penalty)
        model.fit(total[rest], targets[rest], sample_weight=share[rest] * n_texts)
        for p, part in enumerate(parts):
            want = temperature * (part[i] - share @ part) @ model.coef_.T
            np.testing.assert_allclose(evidence.parts[i, p], want, atol=1e-3)
        want = temperature * model.predict(total[[i]])[0]
        np.testing.assert_allclose(evidence.parts[i].sum(0) + evidence.base[i], want, atol=1e-3)
