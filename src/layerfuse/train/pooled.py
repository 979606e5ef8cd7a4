"""The pooled head: a head on fused vectors, joined by a lexical one where validation wants it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import softmax

from layerfuse.core.arrays import Features, Targets
from layerfuse.core.calibrate import fit_pool_weights, pool, pool_gain_in_errors
from layerfuse.core.errors import FeatureError, ShapeError
from layerfuse.core.supervision import Supervision
from layerfuse.train.head import CandidateName, Head, HeadCandidate, HeadName, LinearHead
from layerfuse.train.lexical import LexicalHead, fit_lexical
from layerfuse.train.mlp import MLPHead

LexicalChoice = Literal["auto"] | bool


@dataclass(frozen=True, slots=True, eq=False)
class PooledHead:
    """Texts and their fused vectors to decision values and probabilities.

    Parameters
    ----------
    head : Head
        On fused vectors.
    lexical : LexicalHead or None
        On the texts themselves; None where it is not in use.
    pool_weights : float64 array of shape (2,)
        Exponents of the two in their logarithmic opinion pool.

    Source
    ------
    Genest and Zidek 1986, *Combining Probability Distributions*, Statistical Science 1(1), the
    logarithmic pool; weights by held-out likelihood as in Heskes 1998, *Selecting Weighting Factors
    in Logarithmic Opinion Pools*, NIPS 10.
    """

    head: Head
    lexical: LexicalHead | None
    pool_weights: np.ndarray

    @classmethod
    def alone(cls, head: Head) -> "PooledHead":
        """Return a head on fused vectors that nothing joins."""
        return cls(head, None, np.array([1.0, 0.0]))

    def without_words(self) -> "PooledHead":
        """Return the head on fused vectors that nothing joins."""
        return PooledHead.alone(self.head)

    @property
    def kind(self) -> HeadName:
        """Kind of the head on fused vectors."""
        return self.head.kind

    @property
    def candidate(self) -> CandidateName:
        """Kind of the candidate that tells its held-out quality."""
        return self.head.kind if self.lexical is None else "pooled"

    def decisions(self, features: Features, texts: Sequence[str]) -> Targets:
        """Return decision values (text, class); the highest is the predicted class.

        Raises
        ------
        ShapeError
            If there is not one text per vector.
        """
        if len(features) != len(texts):
            raise ShapeError(
                f"Expected a text per vector, got {len(texts)} for {len(features)} vectors."
            )
        if self.lexical is None:
            return self.head.decisions(features)
        members = self.head.log_probabilities(features), self.lexical.log_probabilities(texts)
        return pool(members, self.pool_weights)

    def probabilities(self, features: Features, texts: Sequence[str]) -> Targets:
        """Return probabilities (text, class); rows sum to 1."""
        if self.lexical is None:
            return self.head.probabilities(features)
        return np.asarray(softmax(self.decisions(features, texts), axis=1))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state but for ``kind``."""
        if self.lexical is None:
            return self.head.arrays()
        lexical = {f"lexical.{k}": array for k, array in self.lexical.arrays().items()}
        return {**self.head.arrays(), "pool_weights": self.pool_weights, **lexical}

    @classmethod
    def from_arrays(cls, kind: HeadName, arrays: Mapping[str, np.ndarray]) -> "PooledHead":
        """Rebuild from ``arrays``."""
        prefix = "lexical."
        own = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        head: Head = (
            MLPHead.from_arrays(arrays) if kind == "mlp" else LinearHead.from_arrays(kind, arrays)
        )
        if not own:
            return cls.alone(head)
        return cls(head, LexicalHead.from_arrays(own), arrays["pool_weights"])


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """A fitted lexical head, for whatever heads on fused vectors it may join.

    Parameters
    ----------
    candidate : HeadCandidate
        Its cross-validated quality.
    head : LexicalHead
        Fitted on all texts.
    asked_for : bool
        It joins whatever held-out texts say.
    """

    candidate: HeadCandidate
    head: LexicalHead
    asked_for: bool


def fit_words(
    texts: Sequence[str], supervision: Supervision, *, lexical: LexicalChoice = "auto"
) -> Words | None:
    """Fit a lexical head, if one is wanted and held-out texts share words with others.

    Parameters
    ----------
    texts : sequence of str
        Training texts.
    supervision : Supervision
        Of the texts.
    lexical : "auto" or bool
        Whether a lexical head joins; ``auto``: where ``join_words`` finds that it helps.

    Raises
    ------
    FeatureError
        If a lexical head was asked for, but no word stands in two texts of those that are left
        where others are held out.
    """
    if not lexical:
        return None
    found = fit_lexical(texts, supervision)
    if found is not None:
        return Words(*found, asked_for=lexical != "auto")
    if lexical == "auto":
        return None
    raise FeatureError(
        "lexical=True needs words that stand in two texts or more, where some are held out too: "
        "found none. Leave it at 'auto', or add texts."
    )


def join_words(
    fitted: Head, candidates: Sequence[HeadCandidate], supervision: Supervision, words: Words | None
) -> tuple[PooledHead, tuple[HeadCandidate, ...]]:
    """Let a lexical head join a head on fused vectors where that helps.

    It does if the pool of both has a lower held-out log loss than the head under the best exponent
    of its own, by more than one standard error of the paired difference.

    Parameters
    ----------
    fitted, candidates
        From ``fit_head``, on vectors of the same texts.
    supervision : Supervision
        Of these texts.
    words : Words or None
        From ``fit_words``, on the same texts; None leaves the head alone.

    Returns
    -------
    head : PooledHead
        Fitted on all texts.
    candidates : tuple of HeadCandidate
        Those given, the lexical one and the pool. The pool, last, has its weights fitted on the
        same held-out log probabilities it is judged by: two numbers for all texts.
    """
    alone = PooledHead.alone(fitted)
    if words is None:
        return alone, tuple(candidates)
    by_layers = next(candidate for candidate in candidates if candidate.kind == fitted.kind)
    members = by_layers.held_out, words.candidate.held_out
    pool_weights = fit_pool_weights(members, supervision)
    logits = pool(members, pool_weights)
    pooled = HeadCandidate.from_logits("pooled", 0.0, logits, supervision)
    gain = pool_gain_in_errors(by_layers.held_out, pooled.held_out, supervision)
    joins = words.asked_for or gain > 1
    chosen = PooledHead(fitted, words.head, pool_weights) if joins else alone
    return chosen, (*candidates, words.candidate, pooled)
