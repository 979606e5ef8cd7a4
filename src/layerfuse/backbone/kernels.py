"""Matrix products on a CPU: torch's, or oneDNN's on packed weights if that is faster here.

torch's float32 product uses MKL, which runs at full speed on Intel processors but at half speed on
AMD's; oneDNN's does not slow down there. Only this file uses private operators of torch. They are
tested before use; if they are missing, torch's own product is used.
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
"""Environment variable that sets the kernel, so that nothing is timed."""

_PROBE = 512, 768, 768  # tokens, inputs, outputs: a typical size, some milliseconds
_MARGIN = 1.25  # a smaller gain is not worth the packing, and within the noise of the timing
_WORTH_TOKENS = 4096  # packing all weights takes about as long as running some hundred tokens
_PACKED_FOR_TOKENS = 1024


def onednn_pack(weight: Tensor, n_tokens: int) -> Tensor:
    """Return an (output, input) weight in oneDNN's layout, optimised for a number of tokens."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, n_tokens)  # noqa: SLF001
    return packed


def onednn_linear(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    """Return x times the packed weight plus the bias, as ``nn.functional.linear``."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
        x, packed, bias, "none", [], ""
    )
    return product


@cache
def onednn_works() -> bool:
    """Return whether the private operators exist and agree with torch's own product."""
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(shape, generator=generator) for shape in ((5, 24), (7, 24), (7,))
    )
    try:
        product = onednn_linear(x, onednn_pack(weight, len(x)), bias)
    except (AttributeError, RuntimeError, TypeError):  # removed, not built, or another signature
        return False
    return torch.allclose(product, nn.functional.linear(x, weight, bias), atol=1e-5)


@cache
def fastest_kernel() -> KernelName:
    """Return the kernel with the faster float32 product on this machine, timed once per process.

    oneDNN must be faster by a quarter, so that chance seldom decides. If two processes must agree
    bit for bit, set ``LAYERFUSE_KERNEL``.

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
    """Time one matrix product of a typical size.

    Parameters
    ----------
    dtype : torch.dtype
        Precision of weights and inputs.
    repeats : int
        Number of timings, of which the best counts.

    Returns
    -------
    dict of KernelName to float
        Billions of floating-point operations per second. oneDNN on packed weights is timed only for
        float32, in which alone it is used.
    """
    n_tokens, n_in, n_out = _PROBE
    x, weight = torch.ones(n_tokens, n_in, dtype=dtype), torch.ones(n_out, n_in, dtype=dtype)
    products: dict[KernelName, Callable[[], Tensor]] = {
        "torch": lambda: nn.functional.linear(x, weight)
    }
    if dtype == torch.float32 and onednn_works():
        packed = onednn_pack(weight, n_tokens)
        products["onednn"] = lambda: onednn_linear(x, packed, None)
    best = dict.fromkeys(products, float("inf"))
    for _ in range(repeats + 1):  # alternating, so that other load affects both
        for name, product in products.items():
            started = time.perf_counter()
            product()
            best[name] = min(best[name], time.perf_counter() - started)
    return {name: 2e-9 * n_tokens * n_in * n_out / seconds for name, seconds in best.items()}


def pack_linears(blocks: Iterable[nn.Module], n_tokens: int) -> dict[nn.Linear, Tensor]:
    """Pack the weights of some blocks, if oneDNN's product is faster here and packing pays.

    Parameters
    ----------
    blocks : iterable of nn.Module
        Blocks that will run. Modules of another type than ``nn.Linear``, and wrapped ones, are left
        unchanged.
    n_tokens : int
        Number of tokens that will run; below 4,096, packing does not pay.

    Returns
    -------
    dict of nn.Linear to Tensor
        The packed weight of each, a second copy. Empty if torch is faster, in other precisions than
        float32, and on accelerators.

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

    Enter it for one batch, while holding ``Blocks.turn``. At all other times the model is
    unchanged, so saving, cutting and gradients are not affected.

    Parameters
    ----------
    packed : mapping of nn.Linear to Tensor
        Packed weights from ``pack_linears``.

    Yields
    ------
    None
        While it is active.
    """
    try:
        for module, weight in packed.items():
            vars(module)["forward"] = partial(onednn_linear, packed=weight, bias=module.bias)
        yield
    finally:
        for module in packed:  # this restores the method of the class
            vars(module).pop("forward", None)  # after Ctrl-C, some may not have been set yet
