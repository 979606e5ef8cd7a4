"""smaller_choices: each set is what a classifier of those backbones alone would be."""

import dataclasses
import math

import numpy as np
import pytest

from layerfuse import Backbone
from layerfuse.core.costs import DepthCosts
from layerfuse.core.selection import Selection
from layerfuse.core.supervision import Supervision
from layerfuse.report import choices as choices_module
from layerfuse.report.choices import backbone_marginals, backbone_sets, smaller_choices
from layerfuse.report.costs import Choice
from layerfuse.report.trial import class_indices

COSTS = (
    DepthCosts("encoder", (1.0, 2.0, 3.0, 4.0), (10, 11, 22, 33)),
    DepthCosts("decoder", (0.5, 1.0, 1.5, 2.0), (5, 6, 7, 8)),
)


@pytest.fixture
def backbones(tiny_encoder, tiny_decoder):
    return [Backbone.from_pretrained(path, device="cpu") for path in (tiny_encoder, tiny_decoder)]


@pytest.fixture
def data(toy, backbones):
    """Texts and embeddings; a fifth of the labels is wrong, so that no set predicts all."""
    texts, labels = toy(80, topics=("calm", "loud", "wild"))
    for i in range(0, 80, 5):
        labels[i] = labels[i - 1]
    train, test = slice(0, 50), slice(50, 80)

    def embed(part):
        return [backbone.embed(texts[part], progress=False) for backbone in backbones]

    return {
        "fit": (texts[train], labels[train]),
        "test_texts": texts[test],
        "arguments": (embed(train), labels[train], embed(test), labels[test]),
    }


def tried(classifier, train, labels, test, truth, costs=COSTS):
    own, others = (class_indices(side, classifier.classes_) for side in (labels, truth))
    known = Supervision.of(own, classifier.random_state)
    return smaller_choices(classifier, train, known, test, others, costs)


def accuracy(classifier, data):
    return float(np.mean(classifier.predict(data["test_texts"]) == data["arguments"][3]))


@pytest.mark.parametrize(
    ("head", "fusion"), [("ridge", "concat"), ("logistic", "mean"), ("ridge", "static_gate")]
)
def test_every_set_equals_a_classifier_of_its_backbones_alone(make, backbones, data, head, fusion):
    """The upper half of a backbone does not depend on the other backbones."""

    def fit(chosen):
        return make(backbones=chosen, selector="upper_half", head=head, fusion=fusion).fit(
            *data["fit"]
        )

    choices = tried(fit(backbones), *data["arguments"])
    assert [choice.backbones for choice in choices] == [
        ("encoder", "decoder"),
        ("encoder",),
        ("decoder",),
    ]
    for choice, chosen in zip(choices, (backbones, backbones[:1], backbones[1:]), strict=True):
        alone = fit(chosen)
        assert choice.held_out_accuracy == alone.validation_[0].accuracy
        assert choice.accuracy == accuracy(alone, data)
    assert len({choice.held_out_accuracy for choice in choices}) > 1


def test_front_and_knee_of_sets_depend_on_held_out_and_not_on_test_texts(make, backbones, data):
    """Of two backbones of equal cost, one is better on held-out and the other on test texts."""
    train, labels, test, truth = data["arguments"]
    one_price = [COSTS[0], dataclasses.replace(COSTS[0], backbone="decoder")]
    both = make(backbones=backbones, selector="upper_half").fit(*data["fit"])
    _, *alone = tried(both, train, labels, test, truth, one_price)
    worse = min(range(2), key=lambda i: alone[i].held_out_accuracy)
    says = make(backbones=[backbones[worse]], selector="upper_half").fit(*data["fit"])
    favoured = says.predict(data["test_texts"]).tolist()
    _, *alone = tried(both, train, labels, test, favoured, one_price)
    better, worse = alone[1 - worse], alone[worse]
    assert better.held_out_accuracy > worse.held_out_accuracy
    assert better.accuracy < worse.accuracy == 1
    assert better.on_front
    assert not worse.on_front
    assert not worse.is_knee


def test_sets_use_the_kind_of_head_in_use_without_the_tf_idf_head(make, backbones, data):
    both = make(backbones=backbones, selector="upper_half", head="auto", lexical=True).fit(
        *data["fit"]
    )
    plain = make(backbones=backbones, selector="upper_half", head=both.head_.kind).fit(*data["fit"])
    expected = tried(plain, *data["arguments"])
    assert tried(both, *data["arguments"]) == expected


def test_costs_of_sets_are_those_of_the_deepest_layers_in_use(make, backbones, data):
    classifier = make(backbones=backbones, selector="top", k=4).fit(*data["fit"])
    selection = classifier.selection_
    for choice in tried(classifier, *data["arguments"]):
        own = [costs for costs in COSTS if costs.backbone in choice.backbones]
        depths = [selection.deepest(costs.backbone) for costs in own]
        assert choice.milliseconds == sum(
            costs.milliseconds[depth] for costs, depth in zip(own, depths, strict=True)
        )
        assert choice.weight_bytes == sum(
            costs.weight_bytes[depth] for costs, depth in zip(own, depths, strict=True)
        )


def test_one_backbone_gives_one_set_and_no_marginals(make, data):
    classifier = make().fit(*data["fit"])
    (only,) = tried(classifier, *data["arguments"])
    assert only.backbones == ("encoder",)
    assert only.on_front
    assert only.is_knee
    assert backbone_marginals([only]) == ()


def test_a_fusion_of_sources_gives_no_set_of_a_single_source(make, backbones, data):
    """Under one pooling, each backbone alone is one source."""
    both = make(backbones=backbones, selector="upper_half", fusion="residual_sum").fit(*data["fit"])
    train, labels, test, truth = data["arguments"]
    refs = tuple(ref for ref in both.selection_ if ref.pooling == "mean")
    both.selection_ = Selection(refs, "one pooling")
    (only,) = tried(both, train, labels, test, truth)
    assert only.backbones == ("encoder", "decoder")
    assert only.is_knee
    assert backbone_marginals([only]) == ()


def test_the_sample_of_texts_has_two_of_every_class(make, backbones, data, monkeypatch):
    embeddings, labels, *test = data["arguments"]
    rare = ["rare" if i in {7, 31} else label for i, label in enumerate(labels)]
    texts = data["fit"][0]
    classifier = make(backbones=backbones, selector="upper_half").fit(texts, rare)
    whole = tried(classifier, embeddings, rare, *test)
    monkeypatch.setattr(choices_module, "MAX_TEXTS", 12)
    few = tried(classifier, embeddings, rare, *test)
    assert few == tried(classifier, embeddings, rare, *test)
    # With 12 texts and at most two more for each of four classes, accuracies are fractions of 20.
    for choice in few:
        shares = [choice.held_out_accuracy * n for n in range(12, 21)]
        assert any(math.isclose(share, round(share), abs_tol=1e-9) for share in shares)
    assert [c.held_out_accuracy for c in few] != [c.held_out_accuracy for c in whole]


@pytest.mark.parametrize("n", range(1, 7))
def test_sets_are_distinct_and_include_all_single_and_leave_one_out_sets(n):
    names = "abcdef"[:n]
    sets = backbone_sets(names)
    assert sets[0] == tuple(names)
    assert len(set(map(frozenset, sets))) == len(sets)
    assert {(name,) for name in names} <= set(sets)
    assert {tuple(names.replace(name, "")) for name in names} <= {*sets, ()}
    assert len(sets) == (2**n - 1 if n <= 4 else 2 * n + 1)
    assert [*map(len, sets)] == sorted(map(len, sets), reverse=True)


def test_marginals_are_the_whole_set_minus_the_set_without_one_backbone():
    held_out = {"a": 0.7, "b": 0.6, "c": 0.5, "ab": 0.8, "ac": 0.75, "bc": 0.65, "abc": 0.78}
    price = {"a": 4.0, "b": 2.0, "c": 1.0}
    choices = [
        Choice(tuple(key), gain, 0.5, sum(price[name] for name in key), 1, False, False)
        for key, gain in held_out.items()
    ]
    expected = (("a", 0.13, 4.0), ("b", 0.03, 2.0), ("c", -0.02, 1.0))
    for order in (choices, choices[::-1]):
        found = backbone_marginals(order)
        assert [one.name for one in found] == [name for name, _, _ in expected]
        for one, (_, gain, milliseconds) in zip(found, expected, strict=True):
            assert one.held_out_gain == pytest.approx(gain)
            assert one.milliseconds == pytest.approx(milliseconds)
