"""compare: one protocol for all rows, nothing learnt from test texts, all of it in the report."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from layerfuse import Backbone, EmbeddingStore, FusionClassifier
from layerfuse.core.errors import DataError, LabelError, ReportError, ShapeError, UnknownOptionError
from layerfuse.core.layers import LayerRef
from layerfuse.core.supervision import Supervision
from layerfuse.extract import embed_to_store
from layerfuse.report import Report, compare, comparison, fitted, report_schema
from layerfuse.report import trial as trial_module
from layerfuse.report.baselines import predict_all
from layerfuse.report.contents.predictions import seed_table, steps
from layerfuse.report.curve import learning_curve
from layerfuse.report.facts import SeededBaseline, Seeds
from layerfuse.report.split import Split
from layerfuse.report.trial import Trial
from layerfuse.train import fit_head

pytestmark = pytest.mark.unchecked  # whole fits, whose parts are checked by tests of their own

COSTLESS = {"costs": False}


@pytest.fixture(scope="module")
def plain():
    return {"head": "ridge", "lexical": True, "device": "cpu", "cache": None, "progress": False}


OURS = {"fusion", "one backbone", "without words"}


@pytest.fixture(scope="module")
def sides(toy):
    return (*toy(40, seed=0), *toy(24, seed=1))


@pytest.fixture(scope="module")
def report(plain, sides, tiny_encoder, tiny_decoder):
    classifier = FusionClassifier([str(tiny_encoder), str(tiny_decoder)], **plain)
    return compare(
        classifier,
        *sides,
        name="toys",
        fusions=["mean"],
        criteria=["fisher", "attention_entropy"],
        seeds=[7],
        curve=[4],
        n_draws=2,
        costs=False,
    )


def test_the_report_has_every_baseline(report):
    names = [row.name for row in report.baselines]
    best = next(row for row in report.layers if row.backbone in names[-2].split())
    assert names[-2] == f"layerfuse on {best.backbone} alone"
    assert names == [
        "TF-IDF + logistic regression",
        "encoder, last layer",
        "decoder, last layer",
        "encoder, middle layer",
        "decoder, middle layer",
        "encoder, best layer",
        "decoder, best layer",
        "best layer of all",
        "mean of all layers",
        "last layers of all",
        "chosen layers, mean",
        names[-2],
        "layerfuse without TF-IDF",
    ]
    assert report.result.name == "layerfuse"


def test_steps_are_of_the_backbone_with_the_best_layer(report):
    best = max(report.layers, key=lambda line: max(line.scores)).backbone
    assert [step.quality.name for step in steps(report)] == [
        f"{best}, last layer",
        "best layer of all",
        f"layerfuse on {best} alone",
        "layerfuse without TF-IDF",
        "layerfuse",
    ]


def test_the_gain_is_over_the_best_baseline_that_is_no_variant_of_layerfuse(report):
    others = [row for row in report.baselines if row.kind not in OURS]
    best = max(row.accuracy for row in others)
    named = next(row for row in others if row.name == report.best_baseline)
    assert named.accuracy == best
    assert named.gain == report.gain
    assert report.gain.points == pytest.approx(100 * (report.result.accuracy - best))


def test_counts_in_the_report_agree_with_each_other(report, sides):
    confusion = np.array(report.confusion)
    assert confusion.sum() == len(sides[2]) == report.data.n_test
    assert np.trace(confusion) / confusion.sum() == pytest.approx(report.result.accuracy)
    assert [row.n_texts for row in report.classes] == confusion.sum(1).tolist()
    assert len(report.mistakes) == min(20, confusion.sum() - np.trace(confusion))
    assert sum(one.n_texts for one in report.reliability) == report.data.n_test
    lines = {f"{one.backbone}:{n}:{one.pooling}" for one in report.layers for n, use in
             zip(one.layers, one.chosen, strict=True) if use}  # fmt: skip
    assert lines == set(report.selection)
    assert report.seeds.seeds == (0, 7)
    assert report.seeds.accuracy[0] == report.result.accuracy
    first = {row.name: row.accuracy[0] for row in report.seeds.baselines}
    assert first == {row.name: row.accuracy for row in report.baselines}
    assert [(p.n_texts, len(p.accuracy)) for p in report.curve] == [(8, 2)] * 3 + [(40, 1)] * 3
    assert report.curve[3].accuracy == (report.result.accuracy,)
    assert report.agreement["fisher"]["fisher"] == pytest.approx(1)
    assert report.agreement["attention_entropy"].keys() == report.agreement.keys()


def test_the_document_round_trips_and_has_the_published_fields(report):
    document = json.loads(report.to_json())
    assert Report.from_json(report.to_json()) == report
    assert isinstance(document["result"]["accuracy"], float)
    assert {"name", "accuracy"} <= document["baselines"][0].keys()
    assert {"points", "low", "high"} <= document["gain"].keys()
    assert document["selection"] == list(report.selection)
    assert document["overhead"]["fit"]["fit_seconds"] > 0
    assert set(report_schema()["properties"]) == document.keys()


def test_the_published_schema_equals_that_of_the_code():
    published = Path(__file__).parents[2] / "docs" / "report.schema.json"
    assert json.loads(published.read_text("utf-8")) == report_schema()


def test_compare_fits_the_classifier_and_keeps_its_parameters(plain, sides, tiny_encoder):
    classifier = FusionClassifier([str(tiny_encoder)], **plain)
    report = compare(classifier, *sides, **COSTLESS)
    assert classifier.backbones == [str(tiny_encoder)]
    assert classifier.cache is None
    right = classifier.predict(sides[2]) == np.array(sides[3])
    assert right.mean() == report.result.accuracy
    again = FusionClassifier([str(tiny_encoder)], **plain).fit(*sides[:2])
    assert again.predict(sides[2]).tolist() == classifier.predict(sides[2]).tolist()


def test_labels_of_test_texts_do_not_affect_predictions(plain, sides, tiny_encoder):
    """Swapped test labels make correct answers wrong, and change nothing else."""
    texts, labels, test_texts, test_labels = sides
    turned = ["calm" if label == "loud" else "loud" for label in test_labels]
    one, other = (
        compare(FusionClassifier([str(tiny_encoder)], **plain), texts, labels, test_texts, truth,
                **COSTLESS)
        for truth in (test_labels, turned)
    )  # fmt: skip
    assert one.selection == other.selection
    assert one.layers == other.layers
    for row, turned_row in zip((*one.baselines, one.result), (*other.baselines, other.result),
                               strict=True):  # fmt: skip
        assert row.accuracy == pytest.approx(1 - turned_row.accuracy)


def test_rows_of_one_layer_equal_a_fit_on_the_layer_they_name(plain, sides, tiny_encoder, tmp_path):
    """Fitted again by hand with the public pieces; layers 3, 2 and the best by score."""
    trial = fitted_trial(tmp_path, plain, sides, tiny_encoder, lexical=False)
    rows = {row.name: row for row in predict_all(trial)}
    best = trial.classifier.scores_.best
    expected = {"last": LayerRef("encoder", 3, "mean"), "middle": LayerRef("encoder", 2, "mean")}
    for which, ref in {**expected, "best": best}.items():
        row = rows[f"encoder, {which} layer"]
        train, test = trial.train[0].row(ref), trial.test[0].row(ref)
        standard = StandardScaler().fit(train)
        known = Supervision.of(trial.supervision.labels)
        head, _ = fit_head(standard.transform(train), known, head="ridge")
        found = head.probabilities(standard.transform(test).astype(np.float32))
        np.testing.assert_allclose(row.probabilities, found, atol=0.02)
    others = [rows[f"encoder, {which} layer"].probabilities for which, ref in expected.items()
              if ref != best]  # fmt: skip
    assert all(np.abs(one - rows["encoder, best layer"].probabilities).max() > 0.05
               for one in others)  # fmt: skip


def test_a_fusion_that_refuses_the_layers_is_left_out_with_a_warning(
    plain, sides, tiny_encoder, tmp_path
):
    trial = fitted_trial(tmp_path, plain, sides, tiny_encoder, pooling="mean")
    with pytest.warns(UserWarning, match="residual_sum is left out of the comparison"):
        names = [row.name for row in predict_all(trial, ["residual_sum", "mean"])]
    assert "chosen layers, mean" in names
    assert "chosen layers, residual_sum" not in names
    assert names[-1] == "layerfuse"


def test_rows_stay_distinct_whatever_the_names_of_backbones(
    plain, sides, tiny_encoder, tiny_decoder
):
    folders = {"all": tiny_encoder, "mean": tiny_decoder}
    backbones = [
        Backbone.from_pretrained(folder, device="cpu", name=name)
        for name, folder in folders.items()
    ]
    report = compare(FusionClassifier(backbones, **plain), *sides, **COSTLESS)
    names = [row.name for row in report.baselines]
    assert len(set(names)) == len(names) == 12


def fitted_trial(folder, plain, sides, tiny_encoder, **options):
    classifier = FusionClassifier([str(tiny_encoder)], **(plain | options))
    (backbone,), store = classifier.load_backbones(), EmbeddingStore(folder)
    train, test = (
        [embed_to_store(backbone, part, store, progress=False)] for part in (sides[0], sides[2])
    )
    return Trial.fit(classifier, Split.of(*sides), train, test)


def test_overhead_has_the_costs_of_prediction_sets_and_marginals(
    plain, sides, tiny_encoder, tiny_decoder
):
    classifier = FusionClassifier([str(tiny_encoder), str(tiny_decoder)], **plain)
    overhead = compare(classifier, *sides).overhead
    kept = sum(backbone.n_parameters for backbone in classifier.backbones_.values())
    assert overhead.prediction.n_parameters_kept == kept
    assert overhead.choices[0].backbones == classifier.selection_.backbones
    assert overhead.fit.cache_bytes == 0
    assert len(overhead.marginals) == 2
    assert any(choice.on_front for choice in overhead.choices)


@pytest.mark.filterwarnings("ignore:.* near-duplicates that cannot be held out")
def test_sets_treat_equal_texts_as_the_fit_does(make, toy, tiny_encoder, tiny_decoder, monkeypatch):
    """Thirty copies are too many to be held out together; kernel weights still see them once."""
    texts, labels = toy(60, topics=("calm", "loud", "wild"), seed=1)
    labels[::5] = [labels[-1], *labels[4:-1:5]]  # so that no classifier is perfect
    texts, labels = texts + texts[:1] * 30, labels + labels[:1] * 30
    monkeypatch.setattr(comparison, "measure_prediction", lambda *_args, **_options: None)
    classifier = make(
        backbones=[tiny_encoder, tiny_decoder], selector="upper_half", fusion="static_gate"
    )
    report = compare(classifier, texts, labels, texts, labels)
    whole = report.overhead.choices[0]
    assert whole.held_out_accuracy == classifier.validation_[0].accuracy
    assert whole.accuracy == report.result.accuracy


def test_one_test_text_is_enough_and_bytes_of_the_cache_are_reported(
    plain, sides, tiny_encoder, tmp_path
):
    texts, labels, test_texts, test_labels = sides
    classifier = FusionClassifier([str(tiny_encoder)], **(plain | {"cache": tmp_path}))
    report = compare(classifier, texts, labels, test_texts[:1], test_labels[:1], **COSTLESS)
    shards = tmp_path.rglob("*.safetensors")
    assert report.overhead.fit.cache_bytes == sum(path.stat().st_size for path in shards) > 0
    assert report.result.accuracy in {0.0, 1.0}
    assert report.result.accuracy_low < 0.5 < report.result.accuracy_high or (
        report.result.accuracy_high - report.result.accuracy_low > 0.5
    )


def test_many_test_texts_are_fused_in_parts(plain, sides, tiny_encoder, monkeypatch):
    def compared():
        classifier = FusionClassifier([str(tiny_encoder)], fusion="gated", k=2, **plain)
        return compare(classifier, *sides, fusions=["mean"], **COSTLESS)

    whole = compared()
    monkeypatch.setattr(trial_module, "_TEXTS", 5)
    parts = compared()
    rows = [(whole.result, *whole.baselines), (parts.result, *parts.baselines)]
    for one, other in zip(*rows, strict=True):
        assert (one.name, one.accuracy) == (other.name, other.accuracy)
        assert one.log_loss == pytest.approx(other.log_loss, rel=1e-4)
    assert whole.gates
    assert [gate.name for gate in parts.gates] == [gate.name for gate in whole.gates]
    assert [g.mean for g in parts.gates] == pytest.approx([g.mean for g in whole.gates], abs=1e-5)


def test_code_that_judges_single_texts_gets_no_near_duplicates(
    plain, toy, tiny_encoder, monkeypatch
):
    seen = {}

    def spy(module, name, count):
        own = getattr(module, name)

        def watched(*arguments, **options):
            seen[name] = count(arguments)
            return own(*arguments, **options)

        monkeypatch.setattr(module, name, watched)

    spy(fitted, "score_layers", lambda arguments: len(arguments[1]))
    spy(comparison, "layer_marginals", lambda arguments: len(arguments[2].distinct()))
    monkeypatch.setattr(comparison, "measure_prediction", lambda *_, **__: None)  # slow, not asked
    (texts, labels), test = toy(30, seed=0), toy(10, seed=1)
    classifier = FusionClassifier([str(tiny_encoder)], **plain)
    compare(classifier, texts * 2, labels * 2, *test, criteria=["fisher"])
    assert seen == {"score_layers": 30, "layer_marginals": 30}


@pytest.mark.filterwarnings("ignore:.* near-duplicates that cannot be held out")  # of six texts
def test_repeated_conflicting_and_leaked_texts_are_counted(plain, tiny_encoder):
    texts = ["calm1 word1", "loud1 word1", "calm2", "loud2", "Calm2", "loud2 "]
    labels = ["calm", "loud", "calm", "loud", "calm", "calm"]
    tests = ["CALM1   word1", "calm3"]
    classifier = FusionClassifier([str(tiny_encoder)], **(plain | {"lexical": False}))
    data = compare(classifier, texts, labels, tests, ["calm", "calm"], **COSTLESS).data
    assert (data.n_repeated, data.n_conflicting, data.n_leaked) == (2, 1, 1)


def test_numpy_labels_in_a_list_can_be_saved(plain, toy, tiny_encoder):
    texts, labels = toy(24, seed=0)
    numbers = list(np.array(labels) == "loud")
    classifier = FusionClassifier([str(tiny_encoder)], **(plain | {"lexical": False}))
    twice, both = [*texts, texts[0], "lone \ud800"], [*numbers, numbers[1], numbers[0]]
    report = compare(classifier, twice, both, twice, both, seeds=[1], **COSTLESS)
    assert Report.from_json(report.to_json()) == report
    assert (report.data.n_repeated, report.data.n_conflicting) == (1, 1)
    assert report.mistakes


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"test_texts": [], "test_labels": []}, DataError, "at least one test text"),
        ({"test_labels": ["calm"]}, ShapeError, "label per test text, got 1 for 24"),
        (
            {"test_labels": ["calm"] * 23 + ["new"]},
            LabelError,
            "no training text has: 'new'. Known: 'calm', 'loud'",
        ),
        ({"test_labels": ["calm"] * 23 + [None]}, LabelError, "missing"),
        ({"labels": ["calm", "loud\0"] * 20}, LabelError, r"^labels: an array cannot hold"),
        ({"test_labels": ["calm", "\ud800"] * 12}, LabelError, r"^test labels: an array cannot"),
        ({"name": Path("data")}, UnknownOptionError, r"name=.*expected a string"),
        ({"name": None}, UnknownOptionError, "name=None: expected a string"),
        ({"seeds": [3, 3]}, UnknownOptionError, r"seeds=\[3, 3\]: expected distinct seeds"),
        ({"seeds": [1, 0]}, UnknownOptionError, "without the classifier's random_state, 0,"),
        ({"fusions": ["blend"]}, UnknownOptionError, "blend"),
        ({"criteria": ["blend"]}, UnknownOptionError, "blend"),
        ({"curve": [1]}, ShapeError, "at least 2 texts a class"),
        ({"curve": [4], "n_draws": 0}, ShapeError, "at least one draw"),
        ({"curve": np.array([2.0, 4.0])}, UnknownOptionError, r"curve=.*2\.0.*expected an integer"),
        ({"curve": [4], "n_draws": 2.0}, UnknownOptionError, r"n_draws=2\.0: expected an integer"),
        ({"class_weight": {"clam": 2}}, UnknownOptionError, "Did you mean 'calm'"),
        ({"class_weight": {"calm": -2}}, LabelError, "positive, finite class weights"),
    ],
)
def test_invalid_arguments_are_refused_before_anything_is_loaded(
    plain, sides, change, error, message
):
    names = ("texts", "labels", "test_texts", "test_labels")
    given = dict(zip(names, sides, strict=True)) | change
    weight = {"class_weight": given.pop("class_weight", None)}
    with pytest.raises(error, match=message):
        compare(FusionClassifier(["no-such-folder"], **plain, **weight), **given)


LEAVE_OUT = "eave out .*, or add training texts"


@pytest.mark.parametrize(
    ("own", "others", "said"),
    [
        ([0, 1], ["0", "1"], "'0' and 0 differ in type alone"),
        (["0", "1"], [0, 1], "0 and '0' differ in type alone"),
        (["0", "1"], ["0.0", "1.0"], "'0.0' and '0' differ in type alone"),
        ([True, False], ["True", "False"], "'False' and False differ in type alone"),
        ([2**62, 1], [str(2**62)] * 2, f"'{2**62}' and {2**62} differ in type alone"),
    ],
)
def test_labels_of_another_type_are_refused_with_advice_to_convert(sides, own, others, said):
    texts, _, tests, _ = sides
    with pytest.raises(LabelError, match=rf"{said} \(.*: convert one side") as told:
        Split.of(texts[:40], own * 20, tests[:24], others * 12)
    assert not re.search(LEAVE_OUT, str(told.value))


def test_labels_that_differ_in_blanks_or_case_are_named(sides):
    texts, _, tests, _ = sides
    with pytest.raises(LabelError, match="' Calm' and 'calm' differ in blanks or letter case"):
        Split.of(texts[:40], ["calm", "loud"] * 20, tests[:24], ["loud", " Calm"] * 12)


def test_a_long_list_of_known_classes_is_shortened_with_an_ellipsis(sides):
    texts, _, tests, _ = sides
    own = [f"class{i}" for i in range(8)] * 5
    with pytest.raises(LabelError, match=r"has: 'new'\. Known: 'class0', .*'class4', …\. Leave"):
        Split.of(texts[:40], own, tests[:24], ["class1", "new"] * 12)


@pytest.mark.parametrize(
    ("own", "others", "cast"),
    [
        (["a", "b"], ["a", "c"], False),
        ([2**62, 1], [2**62 + 1, 1], False),  # one float is both
        (["inf", "b"], ["Infinity", "sNaN"], False),
        (["1", "1.0.0"], ["01", "1.00"], False),  # codes, not numbers
        ([0, 1], ["0", "new"], True),
    ],
)
def test_labels_without_training_texts_are_refused_with_advice_to_leave_out(
    sides, own, others, cast
):
    texts, _, tests, _ = sides
    with pytest.raises(LabelError, match=LEAVE_OUT) as told:
        Split.of(texts[:40], own * 20, tests[:24], others * 12)
    assert ("convert one side" in str(told.value)) == cast


def test_a_report_of_another_version_is_refused(report):
    document = json.loads(report.to_json()) | {"version": 99}
    del document["created"]
    with pytest.raises(ReportError, match=r"version 1; version: .*found 99"):
        Report.from_json(json.dumps(document))
    with pytest.raises(ReportError, match=r"the document to be .*as a whole: "):
        Report.from_json("{")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d["confusion"].pop(), "Expected 2 rows of class metrics"),
        (lambda d: d["confusion"][0].append(0), "a square confusion matrix of 2 classes"),
        (lambda d: d["confusion"][0].clear(), "a square confusion matrix of 2 classes"),
        (lambda d: d["classes"].pop(), "Expected 2 rows of class metrics"),
        (lambda d: d["layers"][0]["scores"].pop(), "one per layer"),
        (lambda d: d["layers"][0]["standard_errors"].pop(), "one per layer"),
        (lambda d: d["seeds"]["accuracy"].append(1.0), "one accuracy per seed"),
        (lambda d: d["seeds"]["baselines"][0]["accuracy"].pop(), "one accuracy per seed"),
        (lambda d: d.update(best_baseline="luck"), "'luck' is not among the baselines"),
    ],
)
def test_a_document_with_contradictory_parts_is_refused(report, edit, message):
    document = json.loads(report.to_json())
    edit(document)
    with pytest.raises(ReportError, match=message):
        Report.from_json(json.dumps(document))


@pytest.mark.parametrize("error", [OSError("No space left on device"), ReportError("killed")])
def test_a_failed_measurement_of_costs_does_not_prevent_the_report(
    plain, sides, tiny_encoder, monkeypatch, error
):
    def refuse(*_args, **_options):
        raise error

    monkeypatch.setattr(comparison, "measure_prediction", refuse)
    with pytest.warns(UserWarning, match=f"leaves out the cost of prediction: {error}"):
        report = compare(FusionClassifier([str(tiny_encoder)], **plain), *sides)
    assert report.overhead.prediction is None
    assert Report.from_json(report.to_json()) == report


def test_a_name_that_is_not_utf_8_is_replaced_in_the_report(plain, sides, tiny_encoder):
    name = "caf\udce9"  # as Python reads a file name that is no UTF-8
    classifier = FusionClassifier([str(tiny_encoder)], **plain)
    report = compare(classifier, *sides, name=name, **COSTLESS)
    assert report.data.name == "caf?"
    assert Report.from_json(report.to_json()) == report


def test_a_further_seed_equals_a_classifier_with_that_random_state(plain, toy, tiny_encoder):
    texts, labels = toy(24, seed=0)
    labels[::5] = labels[1::5]  # no baseline is perfect
    data, options = (texts, labels, *toy(40, seed=1)), plain | {"head": "logistic"}
    one, other = (
        compare(
            FusionClassifier([str(tiny_encoder)], random_state=seed, **options),
            *data,
            seeds=[11] if seed == 3 else [],
            costs=False,
        )
        for seed in (3, 11)
    )
    assert one.seeds.seeds == (3, 11)
    assert one.seeds.accuracy == (one.result.accuracy, other.result.accuracy)
    second = {row.name: row.accuracy[1] for row in one.seeds.baselines}
    assert second == {row.name: row.accuracy for row in other.baselines}
    assert other.seeds == Seeds((11,), other.seeds.accuracy)


def test_a_learning_curve_has_each_size_once(plain, toy, tiny_encoder, tmp_path):
    trial = fitted_trial(tmp_path, plain, (*toy(20, seed=0), *toy(10, seed=1)), tiny_encoder)
    points = learning_curve(trial, [30, 3, 99, 3], n_draws=1)
    assert [point.n_texts for point in points] == [6] * 3 + [20] * 3


def test_the_table_of_seeds_shows_mean_and_range_of_every_row(report):
    rows = (SeededBaseline("one", (0.75, 0.8, 0.85)),)
    seeds = Seeds((0, 4, 9), (0.8, 0.7, 0.9), rows)
    table = seed_table(dataclasses.replace(report, seeds=seeds))
    assert table.caption == "Fitted under 3 seeds: 0, 4, 9"
    assert table.rows == (
        ("layerfuse", "80.0%", "70.0%", "90.0%", ""),
        ("one", "80.0%", "75.0%", "85.0%", "+0.0 (-10.0 to +5.0)"),
    )


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_invalid_seeds_are_refused_before_anything_is_loaded(plain, sides, seed):
    with pytest.raises(UnknownOptionError, match="seeds="):
        compare(FusionClassifier(["no such model"], **plain), *sides, seeds=[seed])
