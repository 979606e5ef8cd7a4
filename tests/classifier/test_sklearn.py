"""scikit-learn's contract: parameters, clones, pipelines and searches, on every kind of column.

What scikit-learn itself splits: lists, NumPy arrays and pandas columns as they are; a pyarrow array
through its own indexing.
"""

import inspect
import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from layerfuse import Backbone, FusionClassifier

COLUMNS = {
    "list": list,
    "tuple": tuple,
    "numpy str": np.array,
    "numpy object": lambda values: np.array(values, dtype=object),
    "pandas": lambda values: pd.Series(values, index=range(100, 100 + len(values))),
    "pandas object": lambda values: pd.Series(values, dtype=object),
    "pyarrow": pa.array,
    "pyarrow chunked": lambda values: pa.chunked_array([values[:10], values[10:]]),
}


@pytest.fixture(params=COLUMNS)
def column(request):
    return COLUMNS[request.param]


def test_the_constructor_only_stores_its_parameters():
    given = {name: object() for name in inspect.signature(FusionClassifier).parameters}
    classifier = FusionClassifier(given.pop("backbones"), **given)

    assert set(vars(classifier)) == {"backbones", *given}
    assert all(getattr(classifier, name) is value for name, value in given.items())


def test_parameters_are_read_and_set(make):
    classifier = make(fusion="mean")
    changed = classifier.set_params(fusion="concat", k=3)

    assert changed is classifier
    assert classifier.get_params()["fusion"] == "concat"
    assert classifier.get_params()["k"] == 3
    with pytest.raises(ValueError, match="Invalid parameter 'fussion'"):
        classifier.set_params(fussion="mean")
    assert "fusion='mean'" in repr(make(fusion="mean"))


def test_a_saved_classifier_keeps_the_prompts_of_the_backbones_in_use(
    make, toy, tiny_encoder, tiny_decoder, tmp_path
):
    texts, labels = toy(48)
    backbones, prompts = [tiny_encoder, tiny_decoder], ["so: ", "{text} so"]
    both = make(backbones=backbones, prompt=prompts, selector="best", k=1).fit(texts, labels)
    assert [one.spec.prompt for one in both.backbones_.values()] == prompts
    one = make(backbones=backbones, prompt=prompts, selector="top", k=1).fit(texts, labels)
    (used,) = one.backbones_.values()
    for fitted, kept in ((both, prompts), (one, used.spec.prompt)):
        fitted.save(tmp_path / "saved")
        loaded = FusionClassifier.load(tmp_path / "saved", device="cpu")
        assert clone(loaded).prompt == kept
        assert [b.spec for b in loaded.load_backbones()] == [
            b.spec for b in fitted.backbones_.values()
        ]
        np.testing.assert_array_equal(loaded.predict_proba(texts), fitted.predict_proba(texts))
    both.save(tmp_path / "saved")
    card = (tmp_path / "saved" / "README.md").read_text("utf-8")
    assert re.findall(r"blocks, prompt (.*)", card) == ['"so: "', '"{text} so"']
    config = json.loads((tmp_path / "saved" / "config.json").read_text("utf-8"))
    assert "prompt" not in config["parameters"]  # as in folders from before the parameter existed


def test_one_backbone_may_be_used_under_several_prompts(make, toy, tiny_encoder, tmp_path):
    texts, labels = toy(48)
    taken = Backbone.from_pretrained(tiny_encoder, pooling="max", name="encoder-2", device="cpu")
    backbones, prompts = [tiny_encoder, taken, tiny_encoder], ["", "", "{text} so"]
    fitted = make(backbones=backbones, prompt=prompts, selector="best", k=1).fit(texts, labels)

    assert list(fitted.backbones_) == ["encoder", "encoder-2", "encoder-3"]
    asked = Backbone.from_pretrained(tiny_encoder, prompt="{text} so", device="cpu")
    (layer,) = {ref.layer for ref in fitted.selection_ if ref.backbone == "encoder-3"}
    np.testing.assert_array_equal(
        fitted.backbones_["encoder-3"].embed(texts, [layer], progress=False).values,
        asked.embed(texts, [layer], progress=False).values,
    )
    fitted.save(tmp_path / "saved", include_backbones=True)
    loaded = FusionClassifier.load(tmp_path / "saved", device="cpu")
    assert list(loaded.backbones_) == list(fitted.backbones_)
    np.testing.assert_array_equal(loaded.predict_proba(texts), fitted.predict_proba(texts))


def test_a_clone_has_the_parameters_and_shares_loaded_backbones(make, toy_texts, toy_labels):
    loaded = make().load_backbones()
    classifier = make(backbones=loaded, class_weight={"calm": 2.0}).fit(toy_texts, toy_labels)
    copy = clone(classifier)

    assert copy is not classifier
    assert copy.backbones[0] is loaded[0]
    assert copy.class_weight == {"calm": 2.0}
    assert not hasattr(copy, "classes_")
    assert np.array_equal(
        copy.fit(toy_texts, toy_labels).predict_proba(toy_texts),
        classifier.predict_proba(toy_texts),
    )


def test_every_type_of_column_gives_the_same_classifier(make, toy_texts, toy_labels, column):
    expected = make().fit(toy_texts, toy_labels).decision_function(toy_texts)
    classifier = make().fit(column(toy_texts), column(toy_labels))

    assert np.array_equal(classifier.decision_function(column(toy_texts)), expected)
    assert classifier.predict(column(toy_texts)).tolist() == classifier.predict(toy_texts).tolist()
    assert classifier.score(column(toy_texts), column(toy_labels)) > 0.8


def test_cross_validation_splits_every_type_of_column(make, toy_texts, toy_labels, column):
    folds = StratifiedKFold(3)
    scores = cross_val_score(
        make(), column(toy_texts), np.array(toy_labels), cv=folds, error_score="raise"
    )
    expected = cross_val_score(make(), toy_texts, toy_labels, cv=folds, error_score="raise")

    assert scores.tolist() == expected.tolist()
    assert scores.mean() > 0.7


def test_cross_validation_takes_labels_in_every_type_of_column(make, toy_texts, toy_labels, column):
    scores = cross_val_score(make(), toy_texts, column(toy_labels), cv=3, error_score="raise")

    assert scores.mean() > 0.7


@pytest.mark.parametrize("kind", ["list", "numpy object", "pandas", "pyarrow"])
def test_grid_search_over_fusion_and_head(make, toy, kind, tmp_path):
    column = COLUMNS[kind]
    texts, labels = toy(60)
    search = GridSearchCV(
        make(cache=tmp_path),
        {"fusion": ["concat", "mean"], "head": ["ridge", "logistic"]},
        cv=2,
        error_score="raise",
    ).fit(column(texts), labels)

    assert len(search.cv_results_["params"]) == 4
    assert search.best_score_ > 0.7
    assert search.best_estimator_.fusion == search.best_params_["fusion"]
    assert search.score(texts, labels) > 0.8


def test_a_pipeline_with_a_step_before(make, toy_texts, toy_labels):
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    pipeline = Pipeline([("lower", lower), ("fuse", make())])
    pipeline.fit([text.upper() for text in toy_texts], toy_labels)
    plain = make().fit(toy_texts, toy_labels)

    assert np.array_equal(pipeline.predict_proba(toy_texts), plain.predict_proba(toy_texts))
    assert pipeline.set_params(fuse__fusion="mean").get_params()["fuse"].fusion == "mean"


def test_a_pipeline_with_a_step_after(make, toy_texts, toy_labels):
    pipeline = make_pipeline(make(), LogisticRegression()).fit(toy_texts, toy_labels)

    assert pipeline.score(toy_texts, toy_labels) > 0.8
    assert pipeline[-1].n_features_in_ == 32 * len(pipeline[0].selection_)


def test_check_is_fitted_and_tags_follow_scikit_learn(make, toy_texts, toy_labels):
    classifier = make().fit(toy_texts, toy_labels)

    check_is_fitted(classifier)
    assert classifier.__sklearn_tags__().input_tags.string
    assert classifier.__sklearn_tags__().estimator_type == "classifier"


def test_options_may_be_numpy_integers(make, toy_texts, toy_labels):
    options = {"max_tokens": np.int64(64), "random_state": np.int32(3), "k": np.int64(1)}
    classifier = make(**options).fit(toy_texts, toy_labels)
    (backbone,) = classifier.backbones_.values()
    assert type(backbone.spec.max_tokens) is int
    assert len(classifier.selection_) == 1


def test_feature_names_become_columns_of_data_frames(make, toy_texts, toy_labels):
    classifier = make().fit(toy_texts, toy_labels)
    plain = classifier.transform(toy_texts)
    frame = classifier.set_output(transform="pandas").transform(toy_texts)
    assert frame.columns.tolist() == classifier.get_feature_names_out().tolist()
    assert frame.columns[0] == "fusionclassifier0"
    np.testing.assert_array_equal(frame.to_numpy(), plain)
    assert classifier.predict(toy_texts).shape == (len(toy_texts),)
