"""Tokenises texts, and forms batches of token ids with little padding."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from layerfuse.backbone.prompt import Prompt

_LEAST_TOKENS = 256  # lower limit of a batch that is made smaller to give every core work
_TURNS = 8  # batches per core before their results are yielded
_CHUNK_TEXTS = 1024  # bounds the memory of encodings, which are much larger than their ids


@dataclass(frozen=True, eq=False)
class TokenizedTexts:
    """Token ids of many texts in one flat array.

    Parameters
    ----------
    ids : int32 array of shape (token,)
        The ids of all texts, concatenated.
    starts : int64 array of shape (text + 1,)
        Text i is ``ids[starts[i]:starts[i + 1]]``.
    truncated : bool array of shape (text,)
        Whether each text was truncated.
    """

    ids: np.ndarray
    starts: np.ndarray
    truncated: np.ndarray

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens per text."""
        return np.diff(self.starts)

    def longest_first(self) -> np.ndarray:
        """Return positions of all texts, longest first, so that memory runs out early if at all."""
        return np.argsort(-self.lengths, kind="stable")

    def together(self, order: np.ndarray, steps: Sequence[int]) -> np.ndarray:
        """Return the longest prefix of some texts that may share a batch.

        Parameters
        ----------
        order : int array of shape (text,)
            Positions, longest first.
        steps : sequence of int
            Lengths from ``rotary_steps``, on different sides of which texts need separate batches.

        Returns
        -------
        int array
            Prefix of ``order``: the texts on the same side of all steps as the first.
        """
        lengths = self.lengths[order]
        below = max((step for step in steps if len(order) and step < lengths[0]), default=-1)
        return order[: np.count_nonzero(lengths > below)]

    def batches(self, order: np.ndarray, token_budget: int, n_cores: int) -> list[np.ndarray]:
        """Return the next batches of some texts, for cores that run them in parallel.

        Parameters
        ----------
        order : int array of shape (text,)
            Positions, longest first.
        token_budget : int
            Tokens per batch, padding included.
        n_cores : int
            With 1 there is one batch; otherwise up to eight per core, so that cores seldom wait.

        Returns
        -------
        list of int array of shape (batch,)
            Batches from the start of ``order``, made smaller where that balances the cores. A text
            longer than the budget is a batch alone.
        """
        if n_cores > 1:
            left = int(self.lengths[order].sum())
            rounds = -(-left // (token_budget * n_cores))
            even = -(-left // (rounds * n_cores))
            token_budget = min(token_budget, max(_LEAST_TOKENS, even))
        batches: list[np.ndarray] = []
        start = 0
        while start < len(order) and len(batches) < (_TURNS * n_cores if n_cores > 1 else 1):
            n_texts = max(1, token_budget // max(1, int(self.lengths[order[start]])))
            batches.append(order[start : start + n_texts])
            start += n_texts
        return batches

    def padded(self, positions: np.ndarray, pad_id: int) -> tuple[Tensor, Tensor]:
        """Return right-padded (batch, token) ids and mask of some texts."""
        lengths = self.lengths[positions]
        mask = np.arange(lengths.max())[None, :] < lengths[:, None]
        ids = np.full(mask.shape, pad_id, dtype=np.int64)
        ids[mask] = np.concatenate(
            [self.ids[self.starts[i] : self.starts[i + 1]] for i in positions.tolist()]
        )
        return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


def tokenize(tokenizer: Any, texts: Sequence[str], max_tokens: int, prompt: str) -> TokenizedTexts:
    """Tokenise texts with the tokenizer's own special tokens, truncating at max_tokens.

    It calls the Rust tokenizer directly, which is about five times as fast as the wrapper.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
        The backbone's tokenizer.
    texts : sequence of str
        May contain empty strings. A lone surrogate is read as U+FFFD.
    max_tokens : int
        Limit, special tokens included.
    prompt : str
        Put around every text, as parsed by ``Prompt``; it is never truncated.

    Returns
    -------
    TokenizedTexts
        At least one token per text: a text without tokens gets the tokenizer's start, end or
        padding token.
    """
    rust, side = tokenizer.backend_tokenizer, tokenizer.truncation_side
    rust.no_padding()
    rust.enable_truncation(max_length=max_tokens, direction=side)
    template = Prompt.parse(prompt)
    survives = template.survives(side)
    pieces: list[np.ndarray] = []
    truncated: list[bool] = []
    stand_in = np.array([stand_in_id(tokenizer)], dtype=np.int32)
    for start in range(0, len(texts), _CHUNK_TEXTS):
        chunk = [_characters(text) for text in texts[start : start + _CHUNK_TEXTS]]
        whole = [template.around(text) for text in chunk]
        encodings = rust.encode_batch_fast(whole, add_special_tokens=True)
        truncated += [bool(encoding.overflowing) for encoding in encodings]
        long = [i for i, encoding in enumerate(encodings) if encoding.overflowing]
        if long and not survives:
            cut = template.encode_cut(rust, [chunk[i] for i in long], max_tokens, side)
            for i, encoding in zip(long, cut, strict=True):
                encodings[i] = encoding
        pieces += [np.array(e.ids, dtype=np.int32) if e.ids else stand_in for e in encodings]
    starts = np.concatenate([[0], np.cumsum([len(p) for p in pieces])]).astype(np.int64)
    ids = np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int32)
    return TokenizedTexts(ids, starts, np.array(truncated, dtype=bool))


def _characters(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates, which the Rust tokenizer refuses."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def stand_in_id(tokenizer: Any) -> int:
    """Return the id for a text without tokens: start, end or padding token, otherwise 0."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id):
        if token is not None:
            return int(token)
    return 0
