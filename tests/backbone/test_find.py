"""Where a backbone is searched, and the errors if it is missing or incomplete."""

import json
import shutil
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors as hub_errors
from safetensors.torch import load_file, save_file
from transformers import T5Model
from transformers.utils import logging

from layerfuse.backbone import Backbone, load_again
from layerfuse.backbone.source import find_source
from layerfuse.backbone.weights import digest
from layerfuse.core.errors import BackboneLoadError, LayerFuseError, UnknownOptionError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def refuse(error):
    def snapshot_download(*_args, **_kwargs):
        raise error

    return snapshot_download


@pytest.mark.unchecked
def test_an_unknown_option_is_refused_with_the_nearest_choice(tiny):
    with pytest.raises(UnknownOptionError, match=r"dtype='float23'.*Did you mean 'float32'"):
        Backbone.from_pretrained(tiny.folder("bert"), dtype="float23")
    with pytest.raises(UnknownOptionError, match=r"pooling='man'.*Did you mean 'mean'"):
        Backbone.from_pretrained(tiny.folder("bert"), pooling="man")
    with pytest.raises(ValueError, match="at least one pooling"):
        Backbone.from_pretrained(tiny.folder("bert"), pooling=[])
    with pytest.raises(ValueError, match="none twice"):
        Backbone.from_pretrained(tiny.folder("bert"), pooling=["mean", "mean"])


def test_a_local_folder_gives_name_origin_and_digest(tiny):
    folder = tiny.folder("bert")
    backbone = Backbone.from_pretrained(str(folder), device="cpu", name="mine")
    assert backbone.name == "mine"
    assert backbone.origin == str(folder)
    assert backbone.spec.weights == digest(folder)
    assert find_source(folder).name == "bert"


def test_loading_shows_no_progress_bar_of_transformers_and_keeps_its_setting(
    tiny, tmp_path, capsys
):
    def drawn():
        list(logging.tqdm(range(3)))
        return capsys.readouterr().err

    assert drawn()
    Backbone.from_pretrained(tiny.folder("bert"), device="cpu").save(tmp_path)
    Backbone.load(tmp_path, device="cpu")
    assert capsys.readouterr().err == ""
    assert drawn()


def test_the_digest_depends_on_configuration_and_weights_only(copy_of):
    folder = copy_of("bert")
    before = digest(folder)
    (folder / "notes.txt").write_text("nothing", "utf-8")
    assert digest(folder) == before
    config = folder / "config.json"
    config.write_text(config.read_text("utf-8") + "\n", "utf-8")
    assert digest(folder) != before


def test_an_empty_name_is_refused_and_a_dot_is_the_working_folder(tiny, monkeypatch):
    monkeypatch.chdir(tiny.folder("bert"))
    assert Backbone.from_pretrained(".").name == "bert"
    with pytest.raises(BackboneLoadError, match="The name of a backbone is empty"):
        Backbone.from_pretrained("")


def test_revision_of_a_local_folder_is_refused(tiny):
    with pytest.raises(BackboneLoadError, match="revision='main' is for hub models"):
        Backbone.from_pretrained(tiny.folder("bert"), revision="main")


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/model", "~/no-such-model", "a/b/c"])
def test_path_that_does_not_exist_never_reaches_the_hub(name, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse(AssertionError("reached")))
    with pytest.raises(BackboneLoadError, match=r"does not exist\. Expected a model folder"):
        Backbone.from_pretrained(name)


def unreachable():
    response = SimpleNamespace(headers={}, request=None)
    return [
        hub_errors.LocalEntryNotFoundError("no network"),
        hub_errors.OfflineModeIsEnabled("offline"),
        hub_errors.RepositoryNotFoundError("404", response=response),
        hub_errors.RevisionNotFoundError("404", response=response),
        hub_errors.GatedRepoError("403", response=response),
        hub_errors.HFValidationError("bad name"),
        ConnectionError("no route"),
    ]


@pytest.mark.parametrize("error", unreachable(), ids=lambda error: type(error).__name__)
def test_a_name_found_nowhere_is_refused_with_the_places_searched(monkeypatch, error):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse(error))
    with pytest.raises(BackboneLoadError, match="'org/no-such' was found neither") as caught:
        Backbone.from_pretrained("org/no-such")
    message = str(caught.value)
    for place in ("local folder", ".gguf file", "packaged", "all-MiniLM-L6-v2", "hub"):
        assert place in message
    assert type(error).__name__ in message
    assert caught.value.__cause__ is error
    assert isinstance(caught.value, OSError)


def test_an_unreachable_hub_name_suggests_the_packaged_model(monkeypatch):
    error = hub_errors.LocalEntryNotFoundError("no network")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse(error))
    with pytest.raises(BackboneLoadError, match="use the name 'all-MiniLM-L6-v2'"):
        Backbone.from_pretrained("sentence-transformers/all-MiniLM-L6-v2", offline=True)


def test_a_hub_model_is_identified_by_its_commit(tiny, tmp_path, monkeypatch):
    asked = {}
    folder = shutil.copytree(tiny.folder("bert"), tmp_path / COMMIT)

    def snapshot_download(name, **options):
        asked.update(options, name=name)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    backbone = Backbone.from_pretrained("org/model", revision="main", offline=True, device="cpu")
    assert backbone.spec.weights == f"hub:org/model@{COMMIT}"
    assert backbone.name == "org/model"
    assert (asked["name"], asked["revision"], asked["local_files_only"]) == (
        "org/model",
        "main",
        True,
    )
    assert "*.safetensors" in asked["allow_patterns"]
    assert not [p for p in asked["allow_patterns"] if p.endswith((".py", ".bin", ".pt", ".h5"))]
    (tmp_path / "org" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)  # which holds a folder of that name, but the model is known
    again = load_again(backbone.origin, backbone.spec, device="cpu")
    assert asked["revision"] == COMMIT
    assert (again.spec, again.origin) == (backbone.spec, "org/model")


def test_python_files_of_the_hub_are_fetched_only_if_trusted(tiny, tmp_path, monkeypatch):
    asked = []
    folder = shutil.copytree(tiny.folder("bert"), tmp_path / COMMIT)

    def snapshot_download(_name, **options):
        asked.append("*.py" in options["allow_patterns"])
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    find_source("org/model")
    find_source("org/model", trust_remote_code=True)
    assert asked == [False, True]


def test_hub_model_without_safetensors_is_refused(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}", "utf-8")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_a, **_k: str(tmp_path))
    with pytest.raises(BackboneLoadError, match=r"expected config.json and \*.safetensors"):
        Backbone.from_pretrained("org/model")


def test_pickled_weights_are_refused(copy_of):
    folder = copy_of("bert")
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(BackboneLoadError, match=r"pytorch_model.bin.*can run code"):
        Backbone.from_pretrained(folder)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(BackboneLoadError, match="found nothing"):
        Backbone.from_pretrained(tmp_path)


@pytest.mark.parametrize("left", [(), ("tokenizer_config.json",)])
def test_a_folder_without_a_tokenizer_is_refused(copy_of, left):
    folder = copy_of("bert")
    for path in folder.glob("tokenizer*"):
        if path.name not in left:
            path.unlink()
    with pytest.raises(BackboneLoadError, match=r"has no tokenizer: expected tokenizer\.json"):
        Backbone.from_pretrained(folder)


def test_a_damaged_tokenizer_is_refused(copy_of):
    folder = copy_of("bert")
    (folder / "tokenizer.json").write_text('{"model":', "utf-8")
    with pytest.raises(BackboneLoadError, match=r"tokenizer in .* cannot be loaded"):
        Backbone.from_pretrained(folder)


def test_a_missing_tensor_is_refused_by_name(copy_of):
    folder = copy_of("bert")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackboneLoadError, match=r"lacks 1 weights.*layer.1.output.dense.weight"):
        Backbone.from_pretrained(folder)


def test_a_missing_pooler_is_accepted(copy_of, bert, tiny):
    folder = copy_of("bert")
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "pooler" not in name}
    assert len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    got = Backbone.from_pretrained(folder, device="cpu").embed(tiny.texts).values
    assert (got == bert.embed(tiny.texts).values).all()


@pytest.mark.parametrize("damage", [b"", b"hello", b"\x00" * 100])
def test_damaged_weights_are_refused(copy_of, damage):
    folder = copy_of("bert")
    (folder / "model.safetensors").write_bytes(damage)
    with pytest.raises(BackboneLoadError, match="cannot be loaded"):
        Backbone.from_pretrained(folder)


@pytest.mark.parametrize(
    "config", [{}, {"model_type": "no-such-type"}, {"model_type": "bart"}], ids=str
)
def test_an_unreadable_architecture_is_refused(copy_of, config):
    folder = copy_of("bert")
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(BackboneLoadError):
        Backbone.from_pretrained(folder)


def test_weights_whose_shapes_contradict_the_configuration_are_refused(copy_of):
    folder = copy_of("bert")
    path = folder / "config.json"
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**config, "intermediate_size": 50}), "utf-8")
    with pytest.raises(BackboneLoadError, match="cannot be loaded"):
        Backbone.from_pretrained(folder)


@pytest.mark.parametrize("device", ["no-such-device", "cuda:99"])
def test_an_unavailable_device_is_refused(tiny, device):
    with pytest.raises(BackboneLoadError, match=f"device='{device}'"):
        Backbone.from_pretrained(tiny.folder("bert"), device=device)


def test_only_the_encoder_of_an_encoder_decoder_is_read(tiny, tmp_path):
    """A whole T5 gives the same numbers as its encoder saved alone."""
    alone = Backbone.from_pretrained(tiny.folder("t5"), device="cpu")
    config = type(alone.model.config).from_dict(
        {**alone.model.config.to_dict(), "is_encoder_decoder": True}
    )
    whole = T5Model(config)
    whole.encoder.load_state_dict(alone.model.encoder.state_dict())
    whole.save_pretrained(tmp_path)
    alone.tokenizer.save_pretrained(tmp_path)
    backbone = Backbone.from_pretrained(tmp_path, device="cpu")
    assert type(backbone.model).__name__ == "T5EncoderModel"
    got, want = backbone.embed(tiny.texts).values, alone.embed(tiny.texts).values
    assert (got == want).all()


def test_load_again_refuses_other_weights(tiny, copy_of):
    folder = copy_of("bert")
    backbone = Backbone.from_pretrained(folder, device="cpu")
    assert load_again(backbone.origin, backbone.spec, device="cpu").spec == backbone.spec
    for other in ("bert", "llama"):  # Llama has no block list at the original path
        tiny.write(other, folder, seed=1)
        with pytest.raises(LayerFuseError, match="is not the backbone that was used before"):
            load_again(backbone.origin, backbone.spec, blocks="encoder.layer", device="cpu")


def test_a_folder_with_an_adapter_is_refused(copy_of):
    folder = copy_of("bert")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(BackboneLoadError, match=r"contains an adapter .* Merge it"):
        Backbone.from_pretrained(folder, device="cpu")
