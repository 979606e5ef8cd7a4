"""Every pooling against slow plain numpy, for either padding side."""

import numpy as np
import pytest
import torch

from layerfuse.backbone import Backbone
from layerfuse.backbone.pooling import POOLING_FUNCTIONS, SPREAD_POOLINGS, without_first

LENGTHS = (1, 2, 5, 7)
LONGEST = max(LENGTHS)
POOLINGS = sorted(POOLING_FUNCTIONS)


def padded(side, seed=0):
    """States with noise in the padding, the mask, and the visible states of each text."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(len(LENGTHS), LONGEST, 6)).astype(np.float32) * 10
    spans = [slice(0, n) if side == "right" else slice(LONGEST - n, LONGEST) for n in LENGTHS]
    mask = np.zeros((len(LENGTHS), LONGEST), dtype=np.int64)
    for i, span in enumerate(spans):
        mask[i, span] = 1
    visible = [hidden[i, span] for i, span in enumerate(spans)]
    return torch.from_numpy(hidden), torch.from_numpy(mask), visible


def test_the_tests_cover_every_pooling(tiny):
    assert set(POOLINGS) == set(tiny.poolings)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("side", ["right", "left"])
def test_every_pooling_equals_plain_numpy(tiny, pooling, side):
    hidden, mask, visible = padded(side)
    got = POOLING_FUNCTIONS[pooling](hidden, mask).numpy()
    want = np.array([tiny.pool_plain(states, pooling) for states in visible])
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("side", ["right", "left"])
def test_half_precision_is_accumulated_in_float32(tiny, pooling, side):
    """Sums of bfloat16 would be off by 1e-2 and more; only the states themselves are rounded."""
    hidden, mask, _ = padded(side)
    rounded = hidden.bfloat16()
    got = POOLING_FUNCTIONS[pooling](rounded, mask)
    assert got.dtype == torch.float32
    want = [
        tiny.pool_plain(states[seen.bool()].float().numpy(), pooling)
        for states, seen in zip(rounded, mask, strict=True)
    ]
    np.testing.assert_allclose(got.numpy(), np.array(want), atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_without_padding_reads_all_tokens(tiny, pooling):
    hidden = torch.arange(24, dtype=torch.float32).reshape(1, 4, 6) ** 1.5
    got = POOLING_FUNCTIONS[pooling](hidden, torch.ones(1, 4, dtype=torch.int64)).numpy()
    np.testing.assert_allclose(got[0], tiny.pool_plain(hidden[0].numpy(), pooling), rtol=1e-6)


@pytest.mark.parametrize("side", ["right", "left"])
def test_without_first_masks_one_token_but_never_the_only_one(side):
    _, mask, _ = padded(side)
    got = without_first(mask)
    assert got.sum(1).tolist() == [1, 1, 4, 6]
    for before, after in zip(mask, got, strict=True):
        positions = torch.nonzero(before).flatten().tolist()
        left = positions[1:] or positions
        assert torch.nonzero(after).flatten().tolist() == left


def test_skip_first_token_affects_only_poolings_over_many_tokens(tiny):
    folder = tiny.folder("llama")
    plain, skipping = (
        Backbone.from_pretrained(folder, pooling=tiny.poolings, device="cpu", skip_first_token=skip)
        for skip in (False, True)
    )
    text = tiny.texts[1]
    states = tiny.run_plain(plain.model, plain.tokenizer, text)
    got, before = skipping.embed([text, ""]).values, plain.embed([text, ""]).values
    for i, ref in enumerate(skipping.refs):
        if ref.layer == skipping.spec.n_layers:
            continue  # transformers reports it after the final norm
        kept = states[ref.layer][1:] if ref.pooling in SPREAD_POOLINGS else states[ref.layer]
        want = tiny.pool_plain(kept, ref.pooling)
        np.testing.assert_allclose(got[i, 0], want, atol=1e-5, err_msg=str(ref))
    np.testing.assert_allclose(got[:, 1], before[:, 1], atol=1e-6)  # the start token alone
