"""Matrix products: oneDNN's equal torch's, are used where they are faster, and leave no trace."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from layerfuse import Backbone
from layerfuse.backbone import kernels


@pytest.fixture
def bert(tiny):
    return Backbone.from_pretrained(tiny.folder("bert"), device="cpu")


@pytest.fixture
def onednn(monkeypatch):
    """Make oneDNN the faster one, from the first token on."""
    if not kernels.onednn_works():
        pytest.skip("this torch has no oneDNN operators")
    monkeypatch.setattr(kernels, "fastest_kernel", lambda: "onednn")
    monkeypatch.setattr(kernels, "_WORTH_TOKENS", 0)


@pytest.fixture
def fresh():
    """Forget what was tried and timed before, and after."""
    caches = kernels.onednn_works, kernels.fastest_kernel
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 3), (5, 7), (64, 17), (2, 9, 33)])
def test_packed_product_is_that_of_numpy(shape, bias):
    rng = np.random.default_rng(0)
    x, weight, added = rng.normal(size=shape), rng.normal(size=(19, shape[-1])), rng.normal(size=19)
    packed = kernels.onednn_pack(torch.tensor(weight, dtype=torch.float32), 5)
    got = kernels.onednn_linear(
        torch.tensor(x, dtype=torch.float32),
        packed,
        torch.tensor(added, dtype=torch.float32) if bias else None,
    )
    np.testing.assert_allclose(got.numpy(), x @ weight.T + (added if bias else 0), atol=2e-5)


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize(
    "family", ["bert", "mpnet", "deberta-v3", "llama", "t5", "albert", "qwen3"]
)
def test_layers_are_those_of_plain_torch(tiny, family, monkeypatch):
    backbone = Backbone.from_pretrained(tiny.folder(family), device="cpu")
    calls = []
    product = kernels.onednn_linear
    monkeypatch.setattr(kernels, "onednn_linear", lambda *a: calls.append(1) or product(*a))
    got = backbone.embed(tiny.texts).values.astype(np.float64)
    assert calls
    monkeypatch.setattr(kernels, "fastest_kernel", lambda: "torch")
    want = backbone.embed(tiny.texts).values.astype(np.float64)
    cosine = (got * want).sum(-1) / np.linalg.norm(got, axis=-1) / np.linalg.norm(want, axis=-1)
    assert cosine.min() > 1 - 1e-6
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.usefixtures("onednn")
def test_nothing_is_left_of_it(bert, tiny):
    before = {name: copy.copy(vars(m)) for name, m in bert.model.named_modules()}
    bert.embed(tiny.texts)
    assert {name: vars(m).keys() for name, m in bert.model.named_modules()} == {
        name: old.keys() for name, old in before.items()
    }


@pytest.mark.usefixtures("onednn")
def test_two_at_once_do_not_disturb_each_other(bert):
    container = bert.blocks.container
    first, second = (kernels.fast_linears(container, 10_000) for _ in range(2))
    assert first.__enter__() == second.__enter__() == "onednn"
    for manager in (first, second):
        manager.__exit__(None, None, None)
    assert not any("forward" in vars(m) for m in container.modules())


@pytest.mark.usefixtures("onednn")
def test_other_precisions_and_few_tokens_run_plainly(tiny, bert, monkeypatch):
    half = Backbone.from_pretrained(tiny.folder("bert"), device="cpu", dtype="bfloat16")
    with kernels.fast_linears(half.blocks.container, 10_000) as kernel:
        assert kernel == "torch"
    monkeypatch.setattr(kernels, "_WORTH_TOKENS", 4096)
    for n_tokens, want in ((4095, "torch"), (4096, "onednn")):
        with kernels.fast_linears(bert.blocks.container, n_tokens) as kernel:
            assert kernel == want


def test_a_module_that_only_derives_from_linear_is_left_alone(onednn):
    class Odd(nn.Linear):
        def forward(self, x):
            return super().forward(x) * 2

    odd = nn.ModuleList([Odd(3, 3)])
    with kernels.fast_linears(odd, 10_000):
        assert "forward" not in vars(odd[0])


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("onednn_rate", "choice"), [(100.0, "torch"), (124.0, "torch"), (126.0, "onednn")]
)
def test_the_choice_needs_a_clear_margin(monkeypatch, onednn_rate, choice):
    monkeypatch.setattr(kernels, "onednn_works", lambda: True)
    rates = {"torch": 100.0, "onednn": onednn_rate}
    monkeypatch.setattr(kernels, "gemm_gflops", lambda _dtype: rates)
    assert kernels.fastest_kernel() == choice


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("how", ["missing", "refuses", "wrong"])
def test_operators_that_do_not_work_are_not_used(monkeypatch, bert, tiny, how):
    def product(x, packed, bias):
        if how == "wrong":
            return torch.zeros(len(x), 7)
        raise {"missing": AttributeError, "refuses": RuntimeError}[how]

    monkeypatch.setattr(kernels, "onednn_linear", product)
    assert kernels.fastest_kernel() == "torch"
    assert list(kernels.gemm_gflops(torch.float32, 1)) == ["torch"]
    assert np.isfinite(bert.embed(tiny.texts).values).all()
