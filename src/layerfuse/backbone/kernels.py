"""Matrix products on a CPU: torch's own or oneDNN's on packed weights, whichever is faster here.

torch's float32 product goes through MKL, which runs at full speed on Intel's processors and at half
of it on AMD's, where oneDNN's does not. This is the one file with private operators of torch: they
are tried before they are used, and where they are missing everything runs as torch alone would.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from layerfuse.core.errors import check_option

KernelName = Literal["torch", "onednn"]

PIN = "LAYERFUSE_KERNEL"
"""Environment variable that names the kernel, so that nothing is timed."""

_PROBE = 512, 768, 768  # tokens, inputs, outputs: a usual size, some milliseconds
_MARGIN = 1.25  # less is not worth the packing, and would make the choice a matter of chance
_WORTH_TOKENS = 4096  # packing all weights takes about as long as running some hundred tokens
_PACKED_FOR_TOKENS = 1024


def onednn_pack(weight: Tensor, n_tokens: int) -> Tensor:
    """Return a (output, input) weight in oneDNN's own layout, best for that many tokens."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, n_tokens)  # noqa: SLF001
    return packed


def onednn_linear(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    """Return x times the packed weight, plus the bias; as ``nn.functional.linear``."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
        x, packed, bias, "none", [], ""
    )
    return product


@cache
def onednn_works() -> bool:
    """Tell whether the private operators are there and give what torch's own product gives."""
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(shape, generator=generator) for shape in ((5, 24), (7, 24), (7,))
    )
    try:
        got = onednn_linear(x, onednn_pack(weight, len(x)), bias)
    except (AttributeError, RuntimeError, TypeError):  # gone, not built in, or another signature
        return False
    return torch.allclose(got, nn.functional.linear(x, weight, bias), atol=1e-5)


@cache
def fastest_kernel() -> KernelName:
    """Return the faster float32 product on this machine, timed once per process.

    oneDNN's must be faster by a quarter, so that the choice is seldom a matter of chance. Where the
    last bits of two processes must agree, pin it with ``LAYERFUSE_KERNEL``.

    Raises
    ------
    UnknownOptionError
        If ``LAYERFUSE_KERNEL`` names no kernel.
    """
    pinned = os.environ.get(PIN)
    if pinned:
        check_option(PIN, pinned, get_args(KernelName))
    if pinned == "torch" or not onednn_works():
        return "torch"
    if pinned:
        return "onednn"
    rates = gemm_gflops(torch.float32)
    return "onednn" if rates["onednn"] > _MARGIN * rates["torch"] else "torch"


@torch.inference_mode()
def gemm_gflops(dtype: torch.dtype, repeats: int = 5) -> dict[KernelName, float]:
    """Time one matrix product of a usual size.

    Parameters
    ----------
    dtype : torch.dtype
        Of weights and inputs.
    repeats : int
        The best of so many counts.

    Returns
    -------
    dict of KernelName to float
        Billions of floating-point operations per second. oneDNN on packed weights is tried for
        float32 only, the one precision in which it is used.
    """
    n_tokens, n_in, n_out = _PROBE
    x, weight = torch.ones(n_tokens, n_in, dtype=dtype), torch.ones(n_out, n_in, dtype=dtype)
    ways: dict[KernelName, Callable[[], Tensor]] = {
        "torch": lambda: nn.functional.linear(x, weight)
    }
    if dtype == torch.float32 and onednn_works():
        packed = onednn_pack(weight, n_tokens)
        ways["onednn"] = lambda: onednn_linear(x, packed, None)
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(repeats + 1):  # by turns, so that a busy moment hits both
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            best[name] = min(best[name], time.perf_counter() - started)
    return {name: 2e-9 * n_tokens * n_in * n_out / seconds for name, seconds in best.items()}


def pack_linears(blocks: Iterable[nn.Module], n_tokens: int) -> dict[nn.Linear, Tensor]:
    """Pack the weights of some blocks, if oneDNN's product is faster here and it pays.

    Parameters
    ----------
    blocks : iterable of nn.Module
        Those that will run. A module of another type, or one that somebody else has wrapped, stays
        as it is.
    n_tokens : int
        Tokens about to run; for fewer than 4,096 packing does not pay.

    Returns
    -------
    dict of nn.Linear to Tensor
        The packed weight of each, a second copy. Empty where torch is faster, in other precisions
        than float32, and on accelerators.

    Raises
    ------
    RuntimeError
        If memory does not suffice for a second copy of the weights.
    """
    linears = [m for block in blocks for m in block.modules() if type(m) is nn.Linear]
    linears = [m for m in dict.fromkeys(linears) if "forward" not in vars(m)]
    plain = all(m.weight.dtype == torch.float32 and m.weight.device.type == "cpu" for m in linears)
    if not plain or n_tokens < _WORTH_TOKENS or fastest_kernel() == "torch":
        return {}
    return {m: onednn_pack(m.weight, _PACKED_FOR_TOKENS) for m in linears}


@contextmanager
def packed_products(packed: Mapping[nn.Linear, Tensor]) -> Iterator[None]:
    """Let modules multiply by their packed weights.

    Enter it for one batch, in the turn of the blocks: at all other times the model is as it was, so
    that saving, cutting and gradients know nothing of it.

    Parameters
    ----------
    packed : mapping of nn.Linear to Tensor
        What ``pack_linears`` returned.

    Yields
    ------
    None
        While it lasts.
    """
    try:
        for module, weight in packed.items():
            vars(module)["forward"] = partial(onednn_linear, packed=weight, bias=module.bias)
        yield
    finally:
        for module in packed:  # the method of the class stands behind it
            vars(module).pop("forward", None)  # Ctrl-C may come before the last has one
