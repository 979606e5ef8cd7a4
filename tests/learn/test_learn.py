"""The training loop: finds optima, stops in time, keeps the best, is the same again."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from layerfuse.core.errors import FeatureError, ShapeError
from layerfuse.core.supervision import Supervision
from layerfuse.learn import Schedule, learn, learn_committee
from layerfuse.learn.loop import TorchNoise, _split


def linear(xp, parameters, inputs, noise):
    drop = 1 if noise is None else noise.keep(inputs[0].shape, 0.9)
    return (inputs[0] * drop) @ parameters["coefficients"] + parameters["intercept"]


def zeros(width=4, n_classes=3):
    return {
        "coefficients": np.zeros((width, n_classes), dtype=np.float32),
        "intercept": np.zeros(n_classes, dtype=np.float32),
    }


def problem(n_texts=300, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_texts) % n_classes)
    features = rng.normal(size=(n_texts, 4)).astype(np.float32)
    features[np.arange(n_texts), labels] += 1.5
    return features, labels


def run(
    features,
    labels,
    forward=linear,
    initial=None,
    weights=None,
    random_state=0,
    groups=None,
    **options,
):
    plain = {"learning_rate": 0.03, "weight_decay": 0.0, "batch_texts": 64, "max_epochs": 30}
    return learn(
        forward,
        zeros() if initial is None else initial,
        [features],
        Supervision.of(labels, random_state, weights=weights, groups=groups),
        names=["these features"],
        schedule=Schedule(**(plain | options)),
    )


def log_loss(parameters, features, labels):
    logits = linear(np, parameters, [features], None)
    logits -= logits.max(1, keepdims=True)
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return -np.log(chances[np.arange(len(labels)), labels]).mean()


def test_a_convex_problem_is_solved_as_by_scikit_learn():
    features, labels = problem(2000)

    def no_dropout(xp, parameters, inputs, noise):
        return linear(xp, parameters, inputs, None)

    learned = run(features, labels, no_dropout, patience=30, learning_rate=0.01, max_epochs=60)
    model = LogisticRegression(C=1e6).fit(features, labels)
    best = -np.log(model.predict_proba(features)[np.arange(2000), labels]).mean()
    assert log_loss(learned.parameters, features, labels) == pytest.approx(best, abs=0.01)


def test_few_texts_are_learned_as_well_in_as_many_epochs():
    """As two steps an epoch they would be left halfway: this is the schedule of the gates."""
    features, labels = problem(200)
    gates = {"learning_rate": 3e-3, "batch_texts": 128, "max_epochs": 100, "patience": 8}
    learned = run(features, labels, lambda xp, p, i, _: linear(xp, p, i, None), **gates)
    model = LogisticRegression(C=1e6).fit(features, labels)
    best = -np.log(model.predict_proba(features)[np.arange(200), labels]).mean()
    assert log_loss(learned.parameters, features, labels) == pytest.approx(best, abs=0.02)


def batch_sizes(n_texts):
    """Return the sizes of the batches of one epoch on nine tenths of the texts."""
    features, labels = problem(n_texts)
    sizes = []

    def counted(xp, parameters, inputs, noise):
        if noise is not None:
            sizes.append(len(inputs[0]))
        return linear(xp, parameters, inputs, noise)

    run(features, labels, counted, max_epochs=1, batch_texts=128)
    return sizes


def test_no_batch_is_much_smaller_than_the_others():
    """A batch of one text would move the parameters as far as one of many."""
    sizes = batch_sizes(1425)
    assert sum(sizes) == 1283
    assert max(sizes) <= 128
    assert min(sizes) >= max(sizes) - 1


@pytest.mark.parametrize("n_texts", [20, 40, 100, 143, 144, 300])
def test_few_texts_make_eight_batches_but_none_below_sixteen(n_texts):
    sizes = batch_sizes(n_texts)
    assert min(sizes) >= 16
    assert len(sizes) == min(8, sum(sizes) // 16)


def test_the_best_epoch_is_kept_and_patience_ends_the_rest():
    labels = problem(60)[1]
    noise = np.random.default_rng(1).normal(size=(60, 200)).astype(np.float32)
    learned = run(noise, labels, initial=zeros(200), learning_rate=0.3, patience=3)
    assert learned.losses[0] == pytest.approx(np.log(3), abs=1e-6)
    assert len(learned.losses) - 1 == int(np.argmin(learned.losses)) + 3
    assert learned.losses[-1] > min(learned.losses)


def test_where_nothing_is_better_the_start_is_kept():
    features, labels = problem(60)
    shuffled = np.random.default_rng(3).permutation(labels)
    learned = run(1e3 * features, shuffled, learning_rate=3.0, patience=2)
    assert int(np.argmin(learned.losses)) == 0
    for name, start in zeros().items():
        np.testing.assert_array_equal(learned.parameters[name], start)


def test_the_validation_loss_is_that_of_texts_not_trained_on():
    """Validation texts are stratified and do not influence the parameters."""
    features, labels = problem(200)
    seen = []

    def watched(xp, parameters, inputs, noise):
        seen.append((noise is not None, inputs[0][:, 0].numpy().copy()))
        return linear(xp, parameters, inputs, noise)

    run(features, labels, watched, max_epochs=2)
    trained = np.unique(np.concatenate([rows for training, rows in seen if training]))
    judged = np.unique(np.concatenate([rows for training, rows in seen if not training]))
    assert not np.intersect1d(trained, judged).size
    assert len(judged) == 20
    of_class = np.bincount(labels[np.isin(features[:, 0], judged)])
    assert of_class.min() >= 6


def test_weights_count_as_so_many_texts():
    features, labels = problem(900)
    heavy = np.where(labels == 2, 30.0, 1.0)
    shares = [
        (linear(np, run(features, labels, weights=w).parameters, [features], None).argmax(1) == 2)
        for w in (None, heavy)
    ]
    assert shares[1].mean() > shares[0].mean() + 0.2


def test_the_same_again_gives_the_same_bits_and_no_global_seed_is_touched():
    features, labels = problem()
    before = torch.get_rng_state()
    one, two, other = (run(features, labels, random_state=state) for state in (0, 0, 1))
    assert one.losses == two.losses != other.losses
    for name, value in one.parameters.items():
        np.testing.assert_array_equal(value, two.parameters[name])
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_keeps_the_share_asked_for():
    kept = TorchNoise(torch.Generator().manual_seed(0)).keep((200, 200), 0.7)
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    assert float(kept.mean()) == pytest.approx(0.7, abs=0.01)


def test_a_loss_that_is_no_number_stops_and_names_the_input():
    features, labels = problem()
    features[5, 1] = np.inf
    with pytest.raises(FeatureError, match=r"loss became nan.*from these features, up to inf"):
        run(features, labels)
    features, labels = problem()
    with pytest.raises(FeatureError, match="Training stopped"):
        run(features * np.float32(1e30), labels, learning_rate=1e9)


@pytest.mark.parametrize("n_each", [1, 2])
def test_classes_of_one_or_two_texts_are_all_trained_on(n_each):
    labels = np.repeat(np.arange(3), n_each)
    features = np.eye(4, dtype=np.float32)[labels]
    learned = run(features, labels, max_epochs=30, patience=30)
    logits = linear(np, learned.parameters, [features], None)
    np.testing.assert_array_equal(logits.argmax(1), labels)


def test_lengths_and_names_are_checked():
    features, labels = problem()
    with pytest.raises(ShapeError, match="equal length"):
        run(features[:-1], labels)


def test_no_near_duplicate_of_a_validation_text_is_trained_on():
    """Labels are random, so only a model that has seen copies of a validation text predicts it."""
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(60, 200)), 3, axis=0).astype(np.float32)
    labels, groups = np.repeat(rng.integers(2, size=60), 3), np.repeat(np.arange(60), 3)
    start = zeros(200, 2)
    known, judged = (run(features, labels, initial=start, groups=one) for one in (None, groups))
    assert min(known.losses) < 0.2
    assert min(judged.losses) > 0.5


def test_a_class_that_only_validation_groups_have_is_trained_on():
    """Every group with class 4 also has a rarer class, by which it is stratified."""
    labels = np.append(np.arange(40) % 2, [2, 4, 2, 3, 4, 3])
    groups = np.append(np.arange(40), [40, 40, 41, 42, 42, 43])
    moved = 0
    for seed in range(40):
        train, judges = _split(Supervision(labels, np.ones(46), seed, groups=groups), 0.6)
        assert set(labels[train]) == {0, 1, 2, 3, 4}
        assert sorted([*train, *judges]) == [*range(46)]
        moved += bool(set(groups[train]) & set(groups[judges]))
    assert 0 < moved < 40


def test_each_fold_has_a_committee_member_that_did_not_see_it():
    features, labels = problem()
    starts = []

    def initial(rng):
        starts.append(rng.random())
        return zeros()

    members = learn_committee(
        linear,
        initial,
        [features],
        Supervision.of(labels),
        names=["features"],
        schedule=Schedule(max_epochs=2),
    )
    assert len(members) == len(set(starts)) == 5
    np.testing.assert_array_equal(
        np.sort(np.concatenate([rest for _, rest in members])), range(300)
    )


def test_a_fold_holds_whole_groups():
    features, labels = problem()
    groups = np.arange(300) // 2
    members = learn_committee(
        linear,
        lambda _: zeros(),
        [features],
        Supervision.of(labels, groups=groups),
        names=["features"],
        schedule=Schedule(max_epochs=1),
    )
    for _, rest in members:
        assert len(rest) == 2 * len(set(groups[rest].tolist()))


def test_members_know_nothing_of_their_fold():
    """One feature per text: only a member that has seen the text can predict its label."""
    labels = np.arange(60) % 2
    features = np.eye(60, dtype=np.float32) * 5
    members = learn_committee(
        linear,
        lambda _: zeros(60, 2),
        [features],
        Supervision.of(labels),
        names=["features"],
        schedule=Schedule(learning_rate=0.1),
    )
    for parameters, rest in members:
        np.testing.assert_array_equal(parameters["coefficients"][rest], 0)
