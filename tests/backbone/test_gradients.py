"""Gradients through a frozen backbone equal autograd on plain transformers, and change nothing."""

import numpy as np
import pytest
import torch

from layerfuse import Backbone
from layerfuse.backbone import ProbeLoss, backbone_gradient, model_signals
from layerfuse.core.errors import DataError, ShapeError, UnknownOptionError

N_CLASSES = 3


def loss_for(backbone, n_texts, pooling="mean"):
    rng = np.random.default_rng(0)
    return ProbeLoss(
        # Weak: for a text predicted with certainty, only rounding is left of the gradient.
        0.1 * rng.normal(size=(backbone.spec.hidden_size, N_CLASSES)).astype(np.float32),
        rng.normal(size=N_CLASSES).astype(np.float32),
        np.arange(n_texts) % N_CLASSES,
        pooling,
    )


def plain_gradients(backbone, family, text, loss, label):
    """Return |state times gradient| of each layer for one text, from retained gradients.

    The last state is the one before the final norm, where the model has one.
    """
    batch = backbone.tokenizer(text, return_tensors="pt")
    embedded = backbone.model.get_input_embeddings()(batch["input_ids"]).requires_grad_()
    caught = []
    norm = backbone.model.get_submodule(family.norm) if family.norm else torch.nn.Identity()
    with norm.register_forward_pre_hook(lambda _module, args: caught.append(args[0])):
        out = backbone.model(
            inputs_embeds=embedded,
            attention_mask=batch["attention_mask"],
            output_hidden_states=True,
        )
    states = list(out.hidden_states)
    states[-1] = caught[-1] if family.norm else states[-1]
    for state in states:
        state.retain_grad()
    logits = states[-1][0].mean(0) @ torch.from_numpy(loss.coefficients)
    logits = logits + torch.from_numpy(loss.intercept)
    (logits.logsumexp(0) - logits[label]).backward()
    return [float((s.detach() * s.grad)[0].pow(2).sum(-1).sqrt().mean()) for s in states]


def test_backbone_gradient_equals_retained_gradients_of_plain_transformers(family, tiny):
    # Not shared: output_hidden_states leaves hooks of transformers on the model.
    backbone = Backbone.from_pretrained(tiny.folder(family.name), pooling="mean", device="cpu")
    backbone.embed(tiny.texts)  # tensors cached in inference mode must not break autograd
    loss = loss_for(backbone, len(tiny.texts))
    found = backbone_gradient(backbone, tiny.texts, loss, progress=False)
    assert found.layers == tuple(range(backbone.spec.n_layers + 1))
    expected = [
        plain_gradients(backbone, family, text, loss, int(label))
        for text, label in zip(tiny.texts, loss.classes, strict=True)
    ]
    np.testing.assert_allclose(found.values, expected, rtol=1e-3)
    assert (found.values > 0).all()


@pytest.mark.parametrize(
    ("name", "layer", "pooling", "skip"),
    [
        ("bert", 1, "mean", False),
        ("deberta-v2-conv", 0, "last", False),  # its convolution too reads the embedding output
        ("gemma3", 2, "mean", True),
    ],
)
def test_backbone_gradient_equals_finite_differences(tiny, name, layer, pooling, skip):
    """Scaling one entry of one token's state by 1 + e moves the loss by e times h * dL/dh."""
    backbone = Backbone.from_pretrained(
        tiny.folder(name), pooling=pooling, device="cpu", skip_first_token=skip
    )
    loss, text, step = loss_for(backbone, 1, pooling), "one two", 1e-4
    found = backbone_gradient(backbone, [text], loss, progress=False).values[0, layer]
    batch = backbone.tokenizer(text, return_tensors="pt")
    n_tokens, width = batch["input_ids"].shape[1], backbone.spec.hidden_size
    entries = [(token, dimension) for token in range(n_tokens) for dimension in range(width)]
    backbone.model.double()
    where = backbone.model.embeddings if layer == 0 else backbone.blocks.outputs[layer - 1]
    sides = []
    for sign in (1, -1):

        def scale(_module, _args, out, sign=sign):
            state = (out[0] if isinstance(out, tuple) else out).clone()
            for i, (token, dimension) in enumerate(entries):  # each in a copy of the text
                state[i, token, dimension] *= 1 + sign * step
            return (state, *out[1:]) if isinstance(out, tuple) else state

        caught = []
        last = backbone.blocks.outputs[-1].register_forward_hook(
            lambda _m, _a, out, caught=caught: caught.append(
                out[0] if isinstance(out, tuple) else out
            )
        )
        with where.register_forward_hook(scale), last, torch.no_grad():
            backbone.model(
                input_ids=batch["input_ids"].expand(len(entries), -1),
                attention_mask=batch["attention_mask"].expand(len(entries), -1),
            )
        states = caught[0].numpy()
        pooled = states[:, -1] if pooling == "last" else states[:, int(skip) :].mean(1)
        logits = pooled @ loss.coefficients + loss.intercept
        sides.append(np.log(np.exp(logits).sum(1)) - logits[:, loss.classes[0]])
    products = (sides[0] - sides[1]).reshape(n_tokens, width) / (2 * step)
    expected = np.sqrt(np.square(products).sum(1)).mean()
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_parameters_stay_frozen_and_unchanged(backbone, tiny):
    def state():
        return [
            (name, p.detach().numpy().tobytes(), p.requires_grad, p.grad)
            for name, p in (*backbone.model.named_parameters(), *backbone.model.named_buffers())
        ]

    before = state()
    hooks = [len(m._forward_hooks) for m in backbone.model.modules()]
    embedded = backbone.embed(tiny.texts).values
    names = ("attention_entropy", "backbone_gradient")
    model_signals(
        backbone, tiny.texts, names, loss=loss_for(backbone, len(tiny.texts)), progress=False
    )
    assert state() == before
    assert not any(requires or grad is not None for _, _, requires, grad in before)
    assert [len(m._forward_hooks) for m in backbone.model.modules()] == hooks
    np.testing.assert_array_equal(backbone.embed(tiny.texts).values, embedded)


@pytest.mark.parametrize("grad_mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_backbone_gradient_works_in_any_grad_mode_of_the_caller(bert, tiny, grad_mode):
    loss = loss_for(bert, len(tiny.texts))
    expected = backbone_gradient(bert, tiny.texts, loss, progress=False).values
    with grad_mode():
        found = backbone_gradient(bert, tiny.texts, loss, progress=False).values
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["bert", "albert", "deberta-v3", "gemma3", "t5"])
def test_backbone_gradient_is_independent_of_batch_and_padding(tiny, name, monkeypatch):
    backbone = Backbone.from_pretrained(tiny.folder(name), pooling="mean", device="cpu")
    loss = loss_for(backbone, len(tiny.texts))
    together = backbone_gradient(backbone, tiny.texts, loss, progress=False).values
    monkeypatch.setattr(backbone.budget, "tokens", 1)
    alone = backbone_gradient(backbone, tiny.texts, loss, progress=False).values
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-6)


def test_gradient_of_a_certain_and_correct_probe_is_zero(bert, tiny):
    loss = loss_for(bert, len(tiny.texts))
    sure = np.zeros(N_CLASSES, np.float32)
    sure[1] = 1000
    right = ProbeLoss(loss.coefficients, sure, np.ones(len(tiny.texts), dtype=np.int64))
    assert (backbone_gradient(bert, tiny.texts, right, progress=False).values == 0).all()


def test_the_probe_of_a_cut_backbone_reads_its_deepest_layer(bert, tiny):
    cut = bert.cut(2)
    found = backbone_gradient(cut, tiny.texts, loss_for(cut, len(tiny.texts)), progress=False)
    assert found.layers == (0, 1, 2)
    whole = backbone_gradient(bert, tiny.texts, loss_for(bert, len(tiny.texts)), progress=False)
    assert np.abs(found.values - whole.values[:, :3]).max() > 0.01


def test_probes_that_do_not_fit_the_texts_are_refused(bert, tiny):
    good = loss_for(bert, len(tiny.texts))
    with pytest.raises(ShapeError, match="one intercept per class"):
        ProbeLoss(good.coefficients, good.intercept[:2], good.classes)
    with pytest.raises(ShapeError, match="3 classes, but texts have the classes"):
        ProbeLoss(good.coefficients, good.intercept, good.classes + 1)
    with pytest.raises(ShapeError, match="a class per text, got 5 for 4"):
        backbone_gradient(bert, tiny.texts[:4], good)
    narrow = ProbeLoss(good.coefficients[:7], good.intercept, good.classes)
    with pytest.raises(ShapeError, match=r"32 wide, but .* 7 dimensions"):
        backbone_gradient(bert, tiny.texts, narrow)
    with pytest.raises(ShapeError, match="needs the loss"):
        model_signals(bert, tiny.texts, ("backbone_gradient",))
    with pytest.raises(DataError, match="at least one text"):
        backbone_gradient(bert, [], good)


@pytest.mark.unchecked
def test_unknown_poolings_and_signals_are_refused(bert, tiny):
    with pytest.raises(UnknownOptionError, match="weighted_mean"):
        ProbeLoss(np.zeros((32, 2)), np.zeros(2), np.zeros(1, dtype=np.int64), "weighted")
    with pytest.raises(UnknownOptionError, match="attention_entropy"):
        model_signals(bert, tiny.texts, ("attention",))


def test_a_device_too_full_for_the_ids_gets_smaller_batches(bert, tiny, monkeypatch):
    loss = loss_for(bert, len(tiny.texts))
    expected = backbone_gradient(bert, tiny.texts, loss, progress=False).values
    put, refused = torch.Tensor.to, []

    def full_at_first(tensor, *args, **kwargs):
        if tensor.dtype == torch.int64 and tensor.ndim == 2 and len(tensor) > 1 and not refused:
            refused.append(tensor.shape)
            raise torch.OutOfMemoryError
        return put(tensor, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "to", full_at_first)
    with pytest.warns(UserWarning, match="continuing with smaller batches"):
        found = backbone_gradient(bert, tiny.texts, loss, progress=False).values
    np.testing.assert_allclose(found, expected, rtol=1e-4)
