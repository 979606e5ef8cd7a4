"""``models``, ``cache`` and the help of every command."""

import json
import os

import pytest

from layerfuse.backbone import Backbone
from layerfuse.report import machine
from layerfuse.wheels import PACKAGED_MODELS


def test_score_and_fit_share_the_cache(run, data, tiny_encoder, tmp_path, monkeypatch):
    assert run("score", data(), "-b", tiny_encoder).code == 0

    def refuse(*arguments, **options):
        raise AssertionError("embedded again")

    monkeypatch.setattr(Backbone, "stream", refuse)
    assert run("fit", data(), "-b", tiny_encoder, "-o", tmp_path / "out").code == 0


def test_doctor_prints_facts_and_advice(run, cache_folder):
    done = run("doctor", "--offline")
    document = json.loads(run("doctor", "--offline", "--json").out)

    assert done.code == 0
    assert str(cache_folder) in done.out
    assert "not checked" in done.out
    assert done.out.split("\n\n")[1].startswith("- ")
    assert set(document["kernels"]) >= {"in_use", "float32_gflops", "bfloat16_gflops"}
    assert isinstance(document["advice"], list)


def test_doctor_wraps_advice_but_not_names(run, monkeypatch):
    folder = "/home/" + "embeddings-" * 8
    advice = ("set OMP_WAIT_POLICY=passive, " * 6, f"{folder} cannot be written: choose another.")
    monkeypatch.setattr(machine, "examine_machine", lambda **_: machine.Checkup({}, advice))
    lines = run("doctor").out.split("\n\n")[1].splitlines()
    assert max(len(line) for line in lines if folder not in line) <= 80
    assert [line[:2] for line in lines].count("- ") == 2
    assert " ".join(line[2:] for line in lines).split() == " ".join(advice).split()


def test_models_lists_size_licence_and_whether_on_disk(run, cache_folder):
    (cache_folder / "models" / "smollm2-135m").mkdir(parents=True)
    (cache_folder / "models" / "smollm2-135m" / "config.json").write_text("{}")
    (cache_folder / "models" / "smollm2-135m" / "model.safetensors").touch()
    lines = run("models").out.splitlines()
    rows = {line.split()[0]: line for line in lines[2:]}

    assert set(rows) == set(PACKAGED_MODELS)
    assert rows["smollm2-135m"].endswith("yes")
    assert rows["all-MiniLM-L6-v2"].endswith("no")
    assert "Apache-2.0" in rows["all-MiniLM-L6-v2"]
    assert "89 MiB" in rows["smollm2-135m"]


def test_models_with_json_lists_every_packaged_model(run):
    document = json.loads(run("models", "--json").out)

    assert [model["name"] for model in document] == list(PACKAGED_MODELS)
    for model in document:
        assert model["on_disk"] is False
        assert model["download_bytes"] > 10**6
        assert model["licence"]


@pytest.fixture
def filled(run, data, tiny_encoder, cache_folder):
    """Embed the toy texts; give the only shard."""
    run("score", data(), "-b", tiny_encoder)
    (shard,) = cache_folder.rglob("*.safetensors")
    return shard


def damage(shard):
    content = bytearray(shard.read_bytes())
    content[-2000] ^= 1
    shard.write_bytes(content)


def test_cache_ls_lists_stored_embeddings(run, filled, cache_folder):
    done = run("cache", "ls")
    (row,) = [line for line in done.out.splitlines() if line.startswith("encoder")]

    assert row.split()[:3] == ["encoder", "mean+first", "48"]
    assert f"in {cache_folder / 'embeddings'}" in done.out
    (entry,) = json.loads(run("cache", "ls", "--json").out)
    assert entry["fingerprint"] == filled.parent.name
    assert (entry["backbone"], entry["poolings"], entry["n_texts"]) == (
        "encoder",
        ["mean", "first"],
        48,
    )
    assert entry["disk_bytes"] >= filled.stat().st_size


def test_cache_ls_shows_prompts_only_if_any(run, data, filled, tiny_encoder, tmp_path):
    assert "prompt" not in run("cache", "ls").out
    prompt = ["--prompt", "so: {text}\nIt is, as ever, one of these"]
    assert run("fit", data(), "-b", tiny_encoder, "-o", tmp_path / "out", *prompt).code == 0
    done = run("cache", "ls").out.splitlines()
    assert done[0].split()[-1] == "prompt"
    assert sum(line.endswith('"so: {text}\\nIt is, as …') for line in done) == 1
    found = {
        entry["prompt"]: entry["dtype"] for entry in json.loads(run("cache", "ls", "--json").out)
    }
    assert found == {"": "float32", prompt[1]: "float32"}


def test_every_cache_command_works_on_an_empty_cache(run):
    assert json.loads(run("cache", "ls", "--json").out) == []
    assert run("cache", "ls").code == 0
    assert run("cache", "verify").out == "0 damaged files\n"
    assert run("cache", "prune", "--all").out == "freed 0.0 MiB\n"


def test_cache_verify_finds_no_damage_in_a_sound_cache(run, filled):
    done = run("cache", "verify")

    assert (done.code, done.out) == (0, "0 damaged files\n")
    assert json.loads(run("cache", "verify", "--json").out) == {"damages": []}


@pytest.mark.parametrize("json_wanted", [False, True])
def test_cache_verify_of_a_damaged_cache_exits_1(run, filled, json_wanted):
    damage(filled)
    done = run("cache", "verify", *(["--json"] if json_wanted else []))

    assert done.code == 1
    assert filled.name in done.out
    if json_wanted:
        assert len(json.loads(done.out)["damages"]) == 1
    else:
        assert done.out.endswith("1 damaged files\n")
    assert run("cache", "verify").code == 0  # the damaged file was set aside


def test_cache_prune_removes_embeddings_by_age_or_name_only(run, filled):
    assert run("cache", "prune").out == "freed 0.0 MiB\n"
    assert run("cache", "prune", "--older-than-days", "1").code == 0
    assert filled.exists()
    freed = json.loads(run("cache", "prune", "encoder", "--json").out)["freed_bytes"]

    assert freed > 4 * 48 * 32 * 4
    assert not filled.exists()


def test_cache_prune_removes_remains_of_killed_builds(run, cache_folder):
    left = cache_folder / "models" / ".smollm2-135m-1a2b3c4d"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    assert run("cache", "prune").code == 0
    assert not left.exists()


def test_cache_prune_takes_a_fingerprint_as_printed_by_ls(run, filled):
    fingerprint = run("cache", "ls").out.split()[-3]
    assert filled.parent.name.startswith(fingerprint)
    assert run("cache", "prune", fingerprint).code == 0
    assert not filled.exists()


@pytest.mark.parametrize("beside", [["encoder"], ["--older-than-days", "30"]])
def test_cache_prune_all_with_names_or_age_is_refused(run, filled, beside):
    done = run("cache", "prune", "--all", *beside)
    assert done.code == 2
    assert "leave out names" in done.err
    assert filled.exists()


def test_cache_prune_all_empties_the_cache(run, filled):
    assert run("cache", "prune", "--all").code == 0
    assert json.loads(run("cache", "ls", "--json").out) == []


COMMANDS = ["", "fit", "predict", "score", "models", "demo", "cache"]
COMMANDS += ["cache ls", "cache prune", "cache verify"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run, command):
    done = run(*command.split(), "--help")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: layerfuse {command}".rstrip())
    assert len(done.out.splitlines()[2].strip()) > 20  # the sentence about what the command does


def test_the_help_is_shown_without_a_command(run):
    assert run().out == run("--help").out
    assert "Commands:" in run().out
