"""Matrix products of oneDNN: equal to torch's, used where faster, and removed afterwards."""

import copy
from functools import partial

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
    """Make oneDNN the chosen kernel."""
    if not kernels.onednn_works():
        pytest.skip("this torch has no oneDNN operator")
    monkeypatch.setattr(kernels, "fastest_kernel", lambda: "onednn")


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
def test_the_product_equals_that_of_numpy(shape, bias):
    rng = np.random.default_rng(0)
    x, weight, added = rng.normal(size=shape), rng.normal(size=(19, shape[-1])), rng.normal(size=19)
    got = kernels.onednn_linear(
        torch.tensor(x, dtype=torch.float32),
        torch.tensor(weight, dtype=torch.float32),
        torch.tensor(added, dtype=torch.float32) if bias else None,
    )
    np.testing.assert_allclose(got.numpy(), x @ weight.T + (added if bias else 0), atol=2e-5)


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize(
    "family", ["bert", "mpnet", "deberta-v3", "llama", "t5", "albert", "qwen3"]
)
def test_layers_from_onednn_equal_those_of_plain_torch(tiny, family, monkeypatch):
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
def test_embedding_leaves_no_product_of_onednn_on_the_model(bert, tiny):
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
def test_a_product_reads_the_weight_in_place(bert):
    """No copy: a changed weight changes the next product."""
    query = bert.blocks.container[0].attention.self.query
    x = torch.ones(2, query.in_features)
    with torch.inference_mode(), kernels.onednn_products(bert.blocks.container):
        before = query(x)
        query.weight.mul_(2)
        after = query(x)
    torch.testing.assert_close(after - query.bias, 2 * (before - query.bias))


@pytest.mark.usefixtures("onednn")
def test_linear_layers_of_other_precisions_run_as_before(tiny, bert):
    half = Backbone.from_pretrained(tiny.folder("bert"), device="cpu", dtype="bfloat16")
    for backbone, swapped in [(bert, True), (half, False)]:
        linear = backbone.blocks.container[0].attention.self.query
        with kernels.onednn_products(backbone.blocks.container):
            assert ("forward" in vars(linear)) == swapped


@pytest.mark.usefixtures("onednn")
def test_an_interrupt_while_products_are_set_leaves_the_model_unchanged(bert, monkeypatch):
    made = []

    def interrupted(*args, **kwargs):
        if made:
            raise KeyboardInterrupt
        made.append(partial(*args, **kwargs))
        return made[0]

    monkeypatch.setattr(kernels, "partial", interrupted)
    with pytest.raises(KeyboardInterrupt), kernels.onednn_products(bert.blocks.container):
        pass
    assert made
    assert not any("forward" in vars(module) for module in bert.model.modules())


@pytest.mark.usefixtures("onednn")
def test_linear_layers_with_a_forward_of_their_own_keep_it():
    class Odd(nn.Linear):
        def forward(self, x):
            return super().forward(x) * 2

    odd, wrapped = Odd(3, 3), nn.Linear(3, 3)
    wrapped.forward = wrapper = torch.relu
    with kernels.onednn_products([odd, wrapped]):
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


def test_bfloat16_is_timed_by_torch_alone():
    assert list(kernels.gemm_gflops(torch.bfloat16, 1)) == ["torch"]


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("how", ["missing", "refuses", "wrong"])
def test_an_onednn_operator_that_fails_or_is_wrong_is_not_used(monkeypatch, bert, tiny, how):
    def product(x, weight, bias):
        if how == "wrong":
            return torch.zeros(len(x), 7)
        raise {"missing": AttributeError, "refuses": RuntimeError}[how]

    monkeypatch.setattr(kernels, "onednn_linear", product)
    assert kernels.fastest_kernel() == "torch"
    assert list(kernels.gemm_gflops(torch.float32, 1)) == ["torch"]
    assert np.isfinite(bert.embed(tiny.texts).values).all()


@pytest.mark.usefixtures("onednn")
def test_a_weight_that_is_a_slice_of_another_is_left_to_torch():
    """For such a weight, oneDNN takes a thousand times as long."""
    sliced, plain = nn.Linear(3, 3), nn.Linear(3, 3)
    sliced.weight = nn.Parameter(torch.ones(3, 6)[:, :3])
    with kernels.onednn_products([sliced, plain]):
        assert "forward" not in vars(sliced)
        assert "forward" in vars(plain)
