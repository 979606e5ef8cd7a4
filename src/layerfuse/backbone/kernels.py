"""Matrix products on a CPU: torch's, or oneDNN's if that is faster here.

torch's float32 product uses MKL, which runs at full speed on Intel processors but at half speed on
AMD's; oneDNN's does not slow down there. Only this file uses a private operator of torch. It is
tested before use; if it is missing, torch's own product is used.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
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
_MARGIN = 1.25  # a smaller gain is within the noise of the timing


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return x times an (output, input) weight plus the bias, as ``nn.functional.linear``.

    The weight may be in oneDNN's own layout (packed). That is 5 to 8 % faster on batches, but a
    second copy of all weights.
    """
    product: Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
        x, weight, bias, "none", [], ""
    )
    return product


@cache
def onednn_works() -> bool:
    """Return whether the private operator exists and agrees with torch's own product."""
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(shape, generator=generator) for shape in ((5, 24), (7, 24), (7,))
    )
    try:
        product = onednn_linear(x, weight, bias)
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
        Billions of floating-point operations per second. oneDNN is timed apart only for float32:
        in bfloat16, torch uses it by itself.
    """
    n_tokens, n_in, n_out = _PROBE
    x, weight = torch.ones(n_tokens, n_in, dtype=dtype), torch.ones(n_out, n_in, dtype=dtype)
    products: dict[KernelName, Callable[[], Tensor]] = {
        "torch": lambda: nn.functional.linear(x, weight)
    }
    if dtype == torch.float32 and onednn_works():
        products["onednn"] = lambda: onednn_linear(x, weight, None)
    best = dict.fromkeys(products, float("inf"))
    for _ in range(repeats + 1):  # alternating, so that other load affects both
        for name, product in products.items():
            started = time.perf_counter()
            product()
            best[name] = min(best[name], time.perf_counter() - started)
    return {name: 2e-9 * n_tokens * n_in * n_out / seconds for name, seconds in best.items()}


@contextmanager
def onednn_products(blocks: Iterable[nn.Module]) -> Iterator[None]:
    """Let blocks multiply by oneDNN, if that is faster than torch on this machine.

    Enter it for one batch, while holding ``Blocks.turn``. At all other times the model is
    unchanged, so saving, cutting and gradients are not affected.

    Parameters
    ----------
    blocks : iterable of nn.Module
        Blocks that will run. Only their ``nn.Linear`` change, and of these none that is of a
        subclass, wrapped, in another precision than float32 or on an accelerator.

    Yields
    ------
    None
        While it is active.
    """
    linears = _plain_linears(blocks)
    if linears and fastest_kernel() == "torch":
        linears = []
    try:
        for module in linears:
            product = partial(onednn_linear, weight=module.weight, bias=module.bias)
            vars(module)["forward"] = product
        yield
    finally:
        for module in linears:  # this restores the method of the class
            vars(module).pop("forward", None)  # after Ctrl-C, some may not have been set yet


def _plain_linears(blocks: Iterable[nn.Module]) -> list[nn.Linear]:
    linears = [m for block in blocks for m in block.modules() if type(m) is nn.Linear]
    return [
        m
        for m in dict.fromkeys(linears)
        if "forward" not in vars(m)
        and m.weight.dtype == torch.float32
        and m.weight.device.type == "cpu"
        and m.weight.is_contiguous()  # oneDNN takes a thousand times as long for a slice
    ]
