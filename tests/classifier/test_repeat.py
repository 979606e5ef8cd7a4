"""Fits are reproducible, and no text is embedded twice."""

import shutil

import numpy as np
import pytest

from layerfuse import Backbone, EmbeddingStore
from layerfuse.classifier.supervise import keep_distinct, supervise
from layerfuse.core.supervision import Supervision
from layerfuse.extract import embed_to_store
from layerfuse.fuse import gate
from layerfuse.learn import committee
from layerfuse.train import fit, head, pooled


@pytest.fixture
def embedded(monkeypatch) -> list[str]:
    """Collect every text that any backbone is asked to embed."""
    seen: list[str] = []
    stream = Backbone.stream

    def counted(self, texts, refs, **options):
        seen.extend(texts)
        return stream(self, texts, refs, **options)

    monkeypatch.setattr(Backbone, "stream", counted)
    return seen


def state(classifier) -> list[np.ndarray]:
    return [*classifier.fusion_.arrays().values(), *classifier.head_.arrays().values()]


@pytest.mark.parametrize("head", ["ridge", "logistic"])
def test_two_fits_give_the_same_bits(make, toy, tiny_encoder, tiny_decoder, head):
    texts, labels = toy()
    others, _ = toy(30, seed=2)
    options = {"backbones": [tiny_encoder, tiny_decoder], "head": head, "selector": "greedy"}
    first, second = (make(**options).fit(texts, labels) for _ in range(2))

    assert first.selection_ == second.selection_
    assert first.scores_ == second.scores_
    assert all(map(np.array_equal, state(first), state(second)))
    assert np.array_equal(first.predict_proba(others), second.predict_proba(others))


def test_a_second_fit_of_the_same_object_does_not_depend_on_the_first(make, toy):
    texts, labels = toy()
    classifier = make().fit(*toy(40, ("loud", "wild"), seed=1)).fit(texts, labels)

    assert all(map(np.array_equal, state(classifier), state(make().fit(texts, labels))))


def test_a_second_fit_embeds_nothing(make, toy, embedded, tmp_path):
    texts, labels = toy()
    first = make(cache=tmp_path).fit(texts, labels)
    assert sorted(embedded) == sorted(texts)
    embedded.clear()
    second = make(cache=tmp_path, fusion="mean", head="logistic").fit(texts, labels)
    assert embedded == []

    third = make(cache=tmp_path).fit(texts, labels)
    assert embedded == []
    assert all(map(np.array_equal, state(first), state(third)))
    assert second.scores_ == first.scores_


def test_fits_with_and_without_a_cache_are_equal(make, toy, tmp_path):
    texts, labels = toy()
    make(cache=tmp_path).fit(texts[:20], labels[:20])
    cached = make(cache=tmp_path).fit(texts, labels)
    plain = make(cache=None).fit(texts, labels)

    np.testing.assert_allclose(cached.scores_.values, plain.scores_.values, atol=1e-5)
    np.testing.assert_allclose(
        cached.predict_proba(texts), plain.predict_proba(texts), atol=1e-5, rtol=0
    )


def test_without_a_cache_every_fit_embeds(make, toy, embedded, cache_folder):
    texts, labels = toy()
    make(cache=None).fit(texts, labels)
    make(cache=None).fit(texts, labels)

    assert sorted(embedded) == sorted([*texts, *texts])
    assert list(cache_folder.iterdir()) == []


def test_other_texts_in_the_cache_change_nothing(make, toy, tmp_path):
    texts, labels = toy()
    tests, _ = toy(200, seed=6)
    make(cache=tmp_path / "own").fit(texts, labels)
    shutil.copytree(tmp_path / "own", tmp_path / "more")
    (backbone,) = make().load_backbones()
    embed_to_store(backbone, tests, EmbeddingStore(tmp_path / "more"), progress=False)
    plain, beside = (make(cache=tmp_path / name).fit(texts, labels) for name in ("own", "more"))

    assert beside.scores_ == plain.scores_
    assert all(map(np.array_equal, state(beside), state(plain)))


def test_the_order_of_texts_changes_only_rounding(make, toy):
    texts, labels = toy()
    order = np.random.default_rng(1).permutation(len(texts))
    mixed = make().fit([texts[i] for i in order], [labels[i] for i in order])
    plain = make().fit(texts, labels)

    np.testing.assert_allclose(mixed.scores_.values, plain.scores_.values, atol=1e-4)
    np.testing.assert_allclose(mixed.predict_proba(texts), plain.predict_proba(texts), atol=1e-3)


def test_prediction_neither_reads_nor_writes_the_cache(make, toy, embedded, tmp_path):
    texts, labels = toy()
    classifier = make(cache=tmp_path).fit(texts, labels)
    files = sorted(tmp_path.rglob("*"))
    embedded.clear()
    classifier.predict(texts)

    assert embedded == texts
    assert sorted(tmp_path.rglob("*")) == files


@pytest.mark.parametrize("place", [-5, -5000])  # among the digests; in a layer
def test_a_damaged_cache_is_embedded_again_and_changes_nothing(
    make, toy, tmp_path, embedded, place
):
    texts, labels = toy()
    expected = make(cache=tmp_path).fit(texts, labels)
    (shard,) = tmp_path.rglob("*.safetensors")
    data = bytearray(shard.read_bytes())
    data[place] ^= 1
    shard.write_bytes(data)
    embedded.clear()
    with pytest.warns(UserWarning, match="embedded again"):
        mended = make(cache=tmp_path).fit(texts, labels)

    assert sorted(embedded) == sorted(texts)
    assert all(map(np.array_equal, state(mended), state(expected)))


def test_the_default_cache_is_the_cache_folder_of_the_user(make, toy, cache_folder):
    make(cache="default").fit(*toy(20))

    (entry,) = (cache_folder / "embeddings").iterdir()
    assert list(entry.glob("*.safetensors"))


@pytest.mark.parametrize("fusion", ["concat", "static_gate", "stacking", "attention"])
@pytest.mark.parametrize("mark", ["", " ."])
def test_duplicates_of_texts_change_the_fit_little(
    make, toy, tiny_encoder, tiny_decoder, fusion, mark
):
    """Duplicates of held-out texts are not trained on."""
    texts, labels = toy(60)
    others, _ = toy(200, seed=2)
    options = {"backbones": [tiny_encoder, tiny_decoder], "selector": "upper_top", "fusion": fusion}
    once = make(**options, head="ridge").fit(texts, labels)
    copies = [text + mark for text in texts]
    thrice = make(**options, head="ridge").fit([*texts, *copies, *copies], labels * 3)

    np.testing.assert_allclose(thrice.scores_.values, once.scores_.values, atol=1e-4)
    assert thrice.selection_ == once.selection_
    (alone, *_), (copied, *_) = once.validation_, thrice.validation_
    assert copied.log_loss == pytest.approx(alone.log_loss, abs=0.1)
    assert np.abs(thrice.predict_proba(others) - once.predict_proba(others)).mean() < 0.1


def test_conflicting_labels_and_a_class_of_one_repeated_text_can_be_fitted(make, toy):
    texts, labels = toy(30)
    with pytest.warns(UserWarning, match="3 of 34 texts have near-duplicates that cannot be held"):
        fitted = make(head="ridge").fit(
            [*texts, texts[0], "z", "z", "z"], [*labels, labels[1], "new", "new", "new"]
        )
    assert fitted.predict(["z"]) == ["new"]
    assert fitted.selection_.refs


@pytest.mark.filterwarnings("ignore:.* near-duplicates that cannot be held out")
def test_two_repeated_texts_can_be_fitted(make, toy):
    texts, labels = toy(2)
    alone = make(criterion="probe").fit(texts * 3, labels * 3)
    assert alone.predict(texts).tolist() == labels


def test_classes_that_consist_of_near_duplicates_are_learnt_from_all_texts():
    """All texts of a class are near-duplicates; one of each class would be too few to learn."""
    verbs = ("send", "stop")
    texts = [f"please {verb} the big red thing of word{i}" for verb in verbs for i in range(20)]
    parameters = {"class_weight": None, "random_state": 0, "progress": False}
    with pytest.warns(UserWarning, match="40 of 40 texts have near-duplicates"):
        known = supervise(texts, np.repeat([0, 1], 20), np.array(verbs), parameters)
    assert known.distinct().tolist() == [*range(40)]


def numbered(groups):
    """Whether some texts are in one group."""
    return groups is not None and len(np.unique(groups)) < len(groups)


@pytest.mark.parametrize("option", [{"fusion": "gated"}, {"head": "mlp"}, {"fusion": "auto"}])
def test_all_code_that_judges_held_out_texts_gets_the_near_duplicate_groups(
    make, toy, monkeypatch, tiny_encoder, tiny_decoder, option
):
    """Each receiver of the groups is checked, because none raises without them."""
    seen = {}

    def spy(module, name, place):
        """Record whether the groups arrive, alone or in a ``Supervision``."""
        own = getattr(module, name)

        def watched(*arguments, **options):
            given = arguments[place]
            groups = given.groups if isinstance(given, Supervision) else given
            place_of = f"{module.__name__}.{name}"
            seen[place_of] = seen.get(place_of, True) and numbered(groups)
            return own(*arguments, **options)

        monkeypatch.setattr(module, name, watched)

    spy(fit, "pool_gain_in_errors", 2)
    spy(fit, "fit_blend", 1)
    spy(pooled, "pool_gain_in_errors", 2)
    spy(pooled, "fit_pool_weights", 1)
    spy(pooled, "fit_lexical", 1)
    spy(head, "fit_temperature", 1)
    spy(head, "gain_in_errors", 2)
    spy(gate, "gain_in_errors", 2)
    spy(committee, "learn", 3)
    texts, labels = toy(60)
    options = {"backbones": [tiny_encoder, tiny_decoder], "head": "auto", "lexical": "auto"}
    make(**(options | option)).fit(texts * 2, labels * 2)

    expected = {"layerfuse.train.pooled.fit_lexical", "layerfuse.train.pooled.fit_pool_weights"}
    expected |= {"layerfuse.train.pooled.pool_gain_in_errors"}
    expected |= {"layerfuse.train.head.gain_in_errors"}  # of fusions and of n-grams
    if option != {"fusion": "auto"}:
        expected |= {"layerfuse.learn.committee.learn"}
    if option == {"fusion": "gated"}:
        expected |= {"layerfuse.fuse.gate.gain_in_errors", "layerfuse.train.head.fit_temperature"}
        expected |= {"layerfuse.train.fit.fit_blend", "layerfuse.train.fit.pool_gain_in_errors"}
    assert expected <= seen.keys()
    assert all(seen.values()), seen


def test_equal_texts_are_scored_once_even_in_a_group_too_large_to_hold_out():
    """A form letter in two fifths of the texts is too large a group to be held out."""
    texts = [*(f"word{i}" for i in range(60)), *["the same old form letter again"] * 40, "last"]
    classes = np.append(np.arange(100) % 2, 2)
    rows = keep_distinct(texts, classes)
    assert rows.tolist() == [*range(62), 100]
    assert keep_distinct(["a", "a", "b", "b", "b"], np.array([0, 0, 1, 1, 1])).tolist() == [
        *range(5)
    ]
