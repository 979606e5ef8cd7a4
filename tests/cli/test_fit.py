"""``layerfuse fit``: from a file to a folder that predicts."""

import json
import os
import sys

import numpy as np
import pytest

from layerfuse import Backbone, FusionClassifier
from layerfuse.core.errors import BackboneLoadError


def test_fit_reads_every_format_and_predict_uses_the_result(
    run, data, extension, tiny_encoder, toy_texts, tmp_path
):
    file = data(f"data{extension}")
    done = run("fit", file, "--backbone", tiny_encoder, "--out", tmp_path / "out")

    assert done.code == 0
    assert done.err.splitlines() == [
        f"48 texts from {file}, column 'text'; labels from column 'label'"
    ]
    for layer in range(4):
        assert f"encoder:{layer}:mean" in done.out
    assert (
        "Chosen: the best third by loo_ridge of the upper halves of all backbones; 1\nlayer.\n"
    ) in done.out
    assert "On held-out training texts:\n  ridge head: accuracy " in done.out
    assert "(kept)" in done.out
    assert f"Saved to {tmp_path / 'out'}" in done.out

    lines = "\n".join(toy_texts).encode()
    predicted = run("predict", tmp_path / "out", stdin=lines).out.splitlines()
    assert [line.split("\t")[0] for line in predicted] == [
        str(label) for label in FusionClassifier.load(tmp_path / "out").predict(toy_texts)
    ]


def test_with_json_standard_output_is_one_document(run, data, tiny_encoder, tiny_decoder, tmp_path):
    backbones = ["-b", tiny_encoder, "-b", tiny_decoder]
    done = run("fit", data(), *backbones, "-o", tmp_path / "out", "--json")
    document = json.loads(done.out)

    assert document["folder"] == str(tmp_path / "out")
    assert (document["text_column"], document["label_column"]) == ("text", "label")
    assert document["n_texts"] == 48
    assert document["classes"] == ["calm", "loud"]
    assert len(document["scores"]) == 8 + 8
    assert set(document["selection"]) < set(document["scores"])
    kinds = [candidate["head"] for candidate in document["validation"]]
    assert kinds == ["ridge", "logistic", "blend", "lexical", "pooled"]
    assert document["lexical"] is True
    assert document["head"] in {"ridge", "logistic", "blend"}
    assert document["overhead"]["n_texts"] == 48
    assert "column 'text'" in done.err


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of files that are no UTF-8")
@pytest.mark.parametrize("json", [[], ["--json"]])
def test_an_output_folder_whose_name_is_not_utf8_is_accepted(
    run, data, tiny_encoder, tmp_path, json
):
    out = tmp_path / os.fsdecode(b"clf\xe9")
    done = run("fit", data(), "-b", tiny_encoder, "-o", out, "--no-lexical", *json)

    assert done.code == 0
    assert "clf?" in done.out
    assert run("predict", out, stdin=b"calm1\n").code == 0


def test_columns_can_be_named_by_options(run, data, tiny_encoder, toy_texts, toy_labels, tmp_path):
    columns = {"text": None, "label": None, "says": toy_texts, "mood": toy_labels}
    file = data("odd.jsonl", **columns)
    named = ["--text-column", "says", "--label-column", "mood"]
    done = run("fit", file, "-b", tiny_encoder, "-o", tmp_path / "out", *named)

    assert done.code == 0
    assert "column 'says'; labels from column 'mood'" in done.err


def test_options_reach_the_classifier(run, data, tiny_encoder, tmp_path):
    options = "--criterion probe --selector best -k 2 --fusion mean --head logistic --seed 3"
    more = (
        "--pooling max --pooling first --max-tokens 16 --dtype bfloat16 --device cpu --no-progress"
    )
    arguments = [*options.split(), *more.split(), "--prompt", "a {text} mat"]
    assert run("fit", data(), "-b", tiny_encoder, "-o", tmp_path / "out", *arguments).code == 0
    loaded = FusionClassifier.load(tmp_path / "out", device="cpu")

    given = {name: loaded.get_params()[name] for name in ("selector", "k", "fusion", "head")}
    assert given == {"selector": "best", "k": 2, "fusion": "mean", "head": "logistic"}
    assert (loaded.criterion, loaded.random_state) == ("probe", 3)
    assert len(loaded.selection_) == 2
    (backbone,) = loaded.backbones_.values()
    assert backbone.spec.poolings == ("max", "first")
    assert backbone.spec.max_tokens == 16
    assert backbone.spec.dtype == "bfloat16"
    assert backbone.spec.prompt == "a {text} mat"


@pytest.mark.parametrize("command", ["fit", "score", "compare"])
def test_prompts_are_assigned_to_backbones_in_order(
    run, data, tiny_encoder, tiny_decoder, tmp_path, monkeypatch, command
):
    real, asked = Backbone.from_pretrained, []

    def note(folder, *, prompt, **options):
        asked.append(prompt)
        if len(asked) == 2:
            raise BackboneLoadError("enough")
        return real(folder, prompt=prompt, **options)

    monkeypatch.setattr(Backbone, "from_pretrained", note)
    file = ["--train", data()] if command == "compare" else [data()]
    place = ["--out", tmp_path / "out"] if command == "fit" else []
    arguments = [command, *file, *place, "-b", tiny_encoder, "-b", tiny_decoder]
    for given, prompts in ((["", "so: {text}"], ["", "so: {text}"]), (["so:"], ["so:", "so:"])):
        asked.clear()
        done = run(*arguments, *(part for one in given for part in ("--prompt", one)))
        assert (done.code, asked) == (2, prompts), done.err
    asked.clear()
    done = run(*arguments, *["--prompt", "a"] * 3)
    assert (done.code, asked) == (2, [])
    assert "prompt: got 3 for 2 backbones" in done.err


def test_the_balanced_option_favours_the_rare_class(run, data, tiny_encoder, toy, tmp_path):
    texts, _ = toy(48, seed=1)
    file = data(text=texts, label=["rare"] * 8 + ["usual"] * 40)
    for name, flags in {"plain": [], "balanced": ["--balanced"]}.items():
        assert run("fit", file, "-b", tiny_encoder, "-o", tmp_path / name, *flags).code == 0
    n_rare = {
        name: np.sum(FusionClassifier.load(tmp_path / name).predict(texts) == "rare")
        for name in ("plain", "balanced")
    }

    assert n_rare["balanced"] > n_rare["plain"]


def test_included_backbones_need_no_model_folder(run, data, new_encoder, tmp_path):
    folder = new_encoder()
    arguments = ["fit", data(), "-b", folder, "-o", tmp_path / "out", "--include-backbones"]
    assert run(*arguments, "--offline").code == 0
    folder.rename(tmp_path / "gone")
    done = run("predict", tmp_path / "out", "--offline", stdin=b"calm1 calm2\n")

    assert done.code == 0
    assert done.out.startswith("calm\t")


@pytest.fixture
def embedded(monkeypatch) -> list[str]:
    seen: list[str] = []
    stream = Backbone.stream

    def counted(self, texts, refs, **options):
        seen.extend(texts)
        return stream(self, texts, refs, **options)

    monkeypatch.setattr(Backbone, "stream", counted)
    return seen


def test_a_second_fit_embeds_nothing(run, data, tiny_encoder, tmp_path, embedded):
    arguments = ["fit", data(), "-b", tiny_encoder, "-o", tmp_path / "out"]
    assert run(*arguments).code == 0
    assert len(embedded) == 48
    assert run(*arguments, "--fusion", "mean").code == 0  # over the older folder
    assert len(embedded) == 48
    assert FusionClassifier.load(tmp_path / "out").fusion == "mean"


def test_no_cache_leaves_the_cache_folder_empty(run, data, tiny_encoder, tmp_path, cache_folder):
    done = run("fit", data(), "-b", tiny_encoder, "-o", tmp_path / "out", "--no-cache")

    assert done.code == 0
    assert list(cache_folder.iterdir()) == []


def test_integer_labels_of_a_csv_are_predicted_as_integers(
    run, data, tiny_encoder, toy_labels, tmp_path
):
    numbers = [7 if label == "calm" else 10 for label in toy_labels]
    assert run("fit", data(label=numbers), "-b", tiny_encoder, "-o", tmp_path / "out").code == 0
    done = run("predict", tmp_path / "out", "--json", stdin=b"calm1 calm2 calm3\nloud1 loud2\n")

    assert [json.loads(line)["prediction"] for line in done.out.splitlines()] == [7, 10]


@pytest.mark.parametrize("moment", ["estimator.fuse_best", "saved.write_bundle"])
def test_ctrl_c_ends_without_traceback_and_leaves_no_partial_folder(
    run, data, tiny_encoder, tmp_path, monkeypatch, moment
):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    file = data()
    monkeypatch.setattr(f"layerfuse.classifier.{moment}", interrupt)
    done = run("fit", file, "-b", tiny_encoder, "-o", tmp_path / "out")

    assert done.code == 130
    assert "Traceback" not in done.err
    assert done.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_ctrl_c_while_saving_keeps_the_earlier_folder(
    run, data, tiny_encoder, tmp_path, monkeypatch
):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    arguments = ["fit", data(), "-b", tiny_encoder, "-o", tmp_path / "out"]
    assert run(*arguments).code == 0
    monkeypatch.setattr("layerfuse.bundle.folder.save_file", interrupt)

    assert run(*arguments, "--fusion", "mean").code == 130
    assert FusionClassifier.load(tmp_path / "out").fusion == "concat"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "out"]
