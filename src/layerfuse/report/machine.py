"""The machine: its hardware, the kernels that run on it, and advice on what to change."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import huggingface_hub
import psutil
import torch

from layerfuse.backbone import fastest_kernel, gemm_gflops
from layerfuse.store import EmbeddingStore
from layerfuse.wheels import cache_folder

_PACKAGES = ("layerfuse", "torch", "transformers", "tokenizers", "numpy", "scikit-learn")
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")
_TIMEOUT_SECONDS = 5
_LITTLE_BYTES = 2 * 2**30

Facts = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Checkup:
    """Facts about a machine, and advice.

    Parameters
    ----------
    facts : mapping of str to mapping
        Values of JSON types by section and name; names contain the units.
    advice : tuple of str
        One sentence for each thing worth changing.
    """

    facts: Facts
    advice: tuple[str, ...]


def examine_machine(*, network: bool = True) -> Checkup:
    """Examine processor, kernels, threads, memory, GPU, cache and network; takes some seconds.

    Parameters
    ----------
    network : bool
        Check whether the model hub and the package index can be reached.

    Returns
    -------
    Checkup
        Facts and advice.
    """
    facts = {
        "versions": {"python": platform.python_version(), **{p: version(p) for p in _PACKAGES}},
        "processor": processor(),
        "kernels": _kernels(),
        "threads": _threads(),
        "memory": _memory(),
        "gpu": _gpu(),
        "cache": _cache(),
        "network": _network() if network else {"hub": None, "package_index": None},
    }
    return Checkup(facts, advise(facts))


def advise(facts: Facts) -> tuple[str, ...]:
    """Return advice on what to change.

    Parameters
    ----------
    facts : mapping
        Facts from ``examine_machine``.

    Returns
    -------
    tuple of str
        Sentences; empty if there is nothing to change.
    """
    return (
        *_advise_threads(facts["threads"], facts["processor"]["cores"]),
        *_advise_precision(facts["kernels"]),
        *_advise_space(facts["memory"], facts["cache"]),
        *_advise_places(facts["gpu"], facts["network"]),
    )


def _advise_threads(threads: Mapping[str, Any], cores: int) -> list[str]:
    advice = []
    setting = threads["omp_num_threads"]
    if setting is not None and not (setting.isdecimal() and int(setting) > 0):
        advice.append(f"OMP_NUM_THREADS={setting!r} is not a number of threads: unset it.")
    if threads["torch"] > cores:
        advice.append(
            f"torch runs {threads['torch']} threads on {cores} cores: set OMP_NUM_THREADS={cores}."
        )
    if threads["load"] > cores / 2 and threads["omp_wait_policy"] != "passive":
        advice.append(
            f"The load is {threads['load']:.1f} on {cores} cores, and threads that spin while they "
            "wait become several times slower: set OMP_WAIT_POLICY=passive."
        )
    return advice


def _advise_precision(kernels: Mapping[str, Any]) -> list[str]:
    ratio = kernels["bfloat16_gflops"] / kernels["float32_gflops"]
    if ratio >= 1.3:  # noqa: PLR2004
        return [f"bfloat16 multiplies {ratio:.1f} times as fast here: try --dtype bfloat16."]
    if ratio < 1:
        return [f"Stay with float32: bfloat16 runs at {ratio:.2f} times its speed here."]
    return []


def _advise_space(memory: Mapping[str, Any], cache: Mapping[str, Any]) -> list[str]:
    advice = []
    if memory["available_bytes"] < _LITTLE_BYTES:
        advice.append("Less than 2 GiB of memory are free: close something, or use small models.")
    if not cache["writable"]:
        advice.append(
            f"{cache['folder']} cannot be written: set LAYERFUSE_CACHE to a writable folder."
        )
    elif cache["free_bytes"] < _LITTLE_BYTES:
        advice.append(
            f"Less than 2 GiB are free at {cache['folder']}: remove embeddings by layerfuse cache "
            "prune with a backbone, --older-than-days or --all."
        )
    return advice


def _advise_places(gpu: Mapping[str, Any], network: Mapping[str, Any]) -> list[str]:
    advice = []
    if gpu["driver"] and not gpu["devices"]:
        advice.append("There is a GPU driver, but this torch cannot use it: install a CUDA build.")
    if network["hub"] is False:
        packaged = ", or packaged models (layerfuse models)" if network["package_index"] else ""
        advice.append(f"The model hub cannot be reached: use local folders{packaged}.")
    return advice


def processor() -> dict[str, Any]:
    """Return name, number of physical cores, relevant instructions, and those that torch uses."""
    flags, name = set(), platform.processor()
    info = Path("/proc/cpuinfo")
    for line in info.read_text("utf-8").splitlines() if info.exists() else ():
        key, _, value = line.partition(":")
        if key.strip() in {"flags", "Features"}:
            flags = set(value.split())
        elif key.strip() == "model name":
            name = value.strip()
    return {
        "name": name or platform.machine(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count() or 1,
        "instructions": [flag for flag in _INSTRUCTIONS if flag in flags],
        "torch_uses": torch.backends.cpu.get_cpu_capability(),
    }


def _kernels() -> dict[str, Any]:
    by_kernel = gemm_gflops(torch.float32)
    return {
        "in_use": fastest_kernel(),
        **{f"float32_{name}_gflops": round(rate) for name, rate in by_kernel.items()},
        "float32_gflops": round(max(by_kernel.values())),
        "bfloat16_gflops": round(max(gemm_gflops(torch.bfloat16).values())),
    }


def _threads() -> dict[str, Any]:
    return {
        "torch": torch.get_num_threads(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "layerfuse_kernel": os.environ.get("LAYERFUSE_KERNEL"),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "load": round(psutil.getloadavg()[0], 2),
    }


def _memory() -> dict[str, Any]:
    memory = psutil.virtual_memory()
    return {"total_bytes": memory.total, "available_bytes": memory.available}


def _gpu() -> dict[str, Any]:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {
        "devices": [torch.cuda.get_device_name(i) for i in range(count)],
        "driver": shutil.which("nvidia-smi") is not None,
    }


def _cache() -> dict[str, Any]:
    folder = cache_folder()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    entries = EmbeddingStore(folder / "embeddings").entries()
    return {
        "folder": str(folder),
        "writable": existing.is_dir() and os.access(existing, os.W_OK),
        "embeddings_bytes": sum(entry.disk_bytes for entry in entries),
        "free_bytes": shutil.disk_usage(existing).free,
    }


def _network() -> dict[str, Any]:
    return {"hub": _reaches_hub(), "package_index": _reaches_index()}


def _reaches_hub() -> bool:
    try:
        answer = huggingface_hub.utils.get_session().head(
            huggingface_hub.constants.ENDPOINT, timeout=_TIMEOUT_SECONDS
        )
    except (OSError, RuntimeError, huggingface_hub.errors.OfflineModeIsEnabled):
        return False
    except Exception as err:
        # Error classes depend on the HTTP library of the hub's client, which has changed before.
        if type(err).__module__.split(".")[0] in {"httpx", "httpx2", "httpcore2", "requests"}:
            return False
        raise
    return int(answer.status_code) < 400  # noqa: PLR2004 - a proxy that refuses answers too


def _reaches_index() -> bool | None:
    """Ask pip, which knows the user's index, proxy and credentials; None if there is no pip."""
    options = ["--timeout", str(_TIMEOUT_SECONDS), "--retries", "0", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "index", "versions", "numpy", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return None if "No module named pip" in done.stderr else done.returncode == 0
