"""Matrix products of oneDNN: equal to torch's, used where faster, and removed afterwards."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from layerfuse import Backbone
from layerfuse.backbone import kernels
from layerfuse.core.errors import UnknownOptionError


@pytest.fixture
def bert(tiny):
    return Backbone.from_pretrained(tiny.folder("bert"), device="cpu")


@pytest.fixture
def onednn(monkeypatch):
    """Make oneDNN the chosen kernel for any number of tokens."""
    if not kernels.onednn_works():
        pytest.skip("this torch has no oneDNN operators")
    monkeypatch.setattr(kernels, "fastest_kernel", lambda: "onednn")
    monkeypatch.setattr(kernels, "_WORTH_TOKENS", 0)


@pytest.fixture
def fresh():
    """Forget which kernels were verified and timed, before and after each test."""
    caches = kernels.onednn_works, kernels.fastest_kernel
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 3), (5, 7), (64, 17), (2, 9, 33)])
def test_the_packed_product_equals_that_of_numpy(shape, bias):
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
def test_layers_from_packed_products_equal_those_of_plain_torch(tiny, family, monkeypatch):
    backbone = Backbone.from_pretrained(tiny.folder(family), device="cpu")
    calls = []
    product = kernels.onednn_linear
    monkeypatch.setattr(
        kernels, "onednn_linear", lambda *a, **k: calls.append(1) or product(*a, **k)
    )
    got = backbone.embed(tiny.texts).values.astype(np.float64)
    assert calls
    monkeypatch.setattr(kernels, "fastest_kernel", lambda: "torch")
    want = backbone.embed(tiny.texts).values.astype(np.float64)
    cosine = (got * want).sum(-1) / np.linalg.norm(got, axis=-1) / np.linalg.norm(want, axis=-1)
    assert cosine.min() > 1 - 1e-6
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.usefixtures("onednn")
def test_embedding_leaves_no_packed_product_on_the_model(bert, tiny):
    before = {name: copy.copy(vars(m)) for name, m in bert.model.named_modules()}
    bert.embed(tiny.texts)
    assert {name: vars(m).keys() for name, m in bert.model.named_modules()} == {
        name: old.keys() for name, old in before.items()
    }


@pytest.mark.usefixtures("onednn")
def test_a_backbone_can_be_cut_and_saved_while_a_stream_is_open(bert, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(bert.budget, "tokens", 20)
    want = bert.embed(tiny.texts, [1]).values
    stream = bert.stream(tiny.texts, bert.refs)
    next(stream)
    cut = bert.cut(1)
    bert.save(tmp_path / "saved")
    rest = list(stream)
    assert rest
    np.testing.assert_allclose(cut.embed(tiny.texts, [1]).values, want, atol=1e-5)
    again = Backbone.load(tmp_path / "saved", device="cpu")
    np.testing.assert_allclose(again.embed(tiny.texts, [1]).values, want, atol=1e-5)


@pytest.mark.usefixtures("onednn")
def test_only_blocks_that_run_are_packed(bert, tiny, monkeypatch):
    packed = []
    pack = kernels.onednn_pack
    monkeypatch.setattr(kernels, "onednn_pack", lambda w, n: packed.append(w) or pack(w, n))
    bert.embed(tiny.texts, [1])
    assert len(packed) == 6  # query, key, value, output, and the two of the feed-forward part


@pytest.mark.usefixtures("onednn")
def test_without_memory_for_packing_torch_runs_with_a_warning(bert, tiny, monkeypatch):
    def refuse(_weight, _n_tokens):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    want = bert.embed(tiny.texts).values
    monkeypatch.setattr(kernels, "onednn_pack", refuse)
    with pytest.warns(UserWarning, match="second copy of the weights.*LAYERFUSE_KERNEL=torch"):
        got = bert.embed(tiny.texts).values
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.usefixtures("onednn")
def test_other_precisions_and_few_tokens_run_unpacked(tiny, bert, monkeypatch):
    def is_packed(backbone, n_tokens):
        linear = backbone.blocks.container[0].attention.self.query
        packed = kernels.pack_linears(backbone.blocks.container, n_tokens)
        with kernels.packed_products(packed):
            return "forward" in vars(linear)

    half = Backbone.from_pretrained(tiny.folder("bert"), device="cpu", dtype="bfloat16")
    monkeypatch.setattr(kernels, "_WORTH_TOKENS", 4096)
    assert not is_packed(half, 10_000)
    assert not is_packed(bert, 4095)
    assert is_packed(bert, 4096)


@pytest.mark.usefixtures("onednn")
def test_an_interrupt_while_packing_leaves_the_model_unchanged(bert):
    class Interrupted(dict):
        def items(self):
            yield next(iter(super().items()))
            raise KeyboardInterrupt

    packed = Interrupted(kernels.pack_linears(bert.blocks.container, 10_000))
    with pytest.raises(KeyboardInterrupt), kernels.packed_products(packed):
        pass
    assert not any("forward" in vars(module) for module in bert.model.modules())


@pytest.mark.usefixtures("onednn")
def test_linear_layers_with_a_forward_of_their_own_are_not_packed():
    class Odd(nn.Linear):
        def forward(self, x):
            return super().forward(x) * 2

    odd, wrapped = Odd(3, 3), nn.Linear(3, 3)
    wrapped.forward = wrapper = torch.relu
    with kernels.packed_products(kernels.pack_linears([odd, wrapped], 10_000)):
        assert "forward" not in vars(odd)
        assert wrapped.forward is wrapper
    assert wrapped.forward is wrapper


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("onednn_rate", "choice"), [(100.0, "torch"), (124.0, "torch"), (126.0, "onednn")]
)
def test_onednn_is_chosen_only_if_faster_by_a_clear_margin(monkeypatch, onednn_rate, choice):
    monkeypatch.setattr(kernels, "onednn_works", lambda: True)
    rates = {"torch": 100.0, "onednn": onednn_rate}
    monkeypatch.setattr(kernels, "gemm_gflops", lambda _dtype: rates)
    assert kernels.fastest_kernel() == choice


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("name", ["torch", "onednn"])
def test_a_kernel_set_by_the_environment_is_not_timed(monkeypatch, name):
    monkeypatch.setattr(kernels, "onednn_works", lambda: True)
    monkeypatch.setattr(kernels, "gemm_gflops", None)
    monkeypatch.setenv("LAYERFUSE_KERNEL", name)
    assert kernels.fastest_kernel() == name


@pytest.mark.usefixtures("fresh")
def test_an_unknown_kernel_is_refused_with_the_choices(monkeypatch):
    monkeypatch.setenv("LAYERFUSE_KERNEL", "mkl")
    with pytest.raises(UnknownOptionError, match=r"LAYERFUSE_KERNEL='mkl'.*torch, onednn"):
        kernels.fastest_kernel()


def test_bfloat16_is_timed_without_packing():
    assert list(kernels.gemm_gflops(torch.bfloat16, 1)) == ["torch"]


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("how", ["missing", "refuses", "wrong"])
def test_onednn_operators_that_fail_or_are_wrong_are_not_used(monkeypatch, bert, tiny, how):
    def product(x, packed, bias):
        if how == "wrong":
            return torch.zeros(len(x), 7)
        raise {"missing": AttributeError, "refuses": RuntimeError}[how]

    monkeypatch.setattr(kernels, "onednn_linear", product)
    assert kernels.fastest_kernel() == "torch"
    assert list(kernels.gemm_gflops(torch.float32, 1)) == ["torch"]
    assert np.isfinite(bert.embed(tiny.texts).values).all()
