"""The pooled head: a head on fused vectors, with the TF-IDF head if validation favours it."""

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
    """A head on fused vectors, alone or in an ensemble with the TF-IDF head.

    Parameters
    ----------
    head : Head
        Head on fused vectors.
    lexical : LexicalHead or None
        TF-IDF head on the texts; None if it is not used.
    pool_weights : float64 array of shape (2,)
        Exponents of both heads in their logarithmic opinion pool.

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
        """Return a head on fused vectors without a TF-IDF head."""
        return cls(head, None, np.array([1.0, 0.0]))

    def without_words(self) -> "PooledHead":
        """Return the head on fused vectors without the TF-IDF head."""
        return PooledHead.alone(self.head)

    @property
    def kind(self) -> HeadName:
        """Kind of the head on fused vectors."""
        return self.head.kind

    @property
    def candidate(self) -> CandidateName:
        """Kind of the candidate that has its held-out quality."""
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
                f"Expected one text per vector, got {len(features)} vectors, "
                f"but {len(texts)} texts."
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
        """Return the whole state except ``kind``."""
        if self.lexical is None:
            return self.head.arrays()
        lexical = {f"lexical.{k}": array for k, array in self.lexical.arrays().items()}
        return {**self.head.arrays(), "pool_weights": self.pool_weights, **lexical}

    @classmethod
    def from_arrays(cls, kind: HeadName, arrays: Mapping[str, np.ndarray]) -> "PooledHead":
        """Rebuild from ``arrays``."""
        prefix = "lexical."
        lexical = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        head: Head = (
            MLPHead.from_arrays(arrays) if kind == "mlp" else LinearHead.from_arrays(kind, arrays)
        )
        if not lexical:
            return cls.alone(head)
        return cls(head, LexicalHead.from_arrays(lexical), arrays["pool_weights"])


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """A fitted TF-IDF head, which heads on fused vectors may be combined with.

    Parameters
    ----------
    candidate : HeadCandidate
        Its cross-validated quality.
    head : LexicalHead
        The TF-IDF head, fitted on all texts.
    asked_for : bool
        Whether it joins regardless of the held-out log loss.
    """

    candidate: HeadCandidate
    head: LexicalHead
    asked_for: bool


def fit_words(
    texts: Sequence[str], supervision: Supervision, *, lexical: LexicalChoice = "auto"
) -> Words | None:
    """Fit a TF-IDF head, if one is wanted and texts share words.

    Parameters
    ----------
    texts : sequence of str
        Training texts.
    supervision : Supervision
        Labels, weights and groups of the texts.
    lexical : "auto" or bool
        Whether the TF-IDF head joins; ``auto`` leaves this to ``join_words``.

    Returns
    -------
    Words or None
        None if ``lexical`` is False, or if it is ``auto`` and no TF-IDF head can be fitted.

    Raises
    ------
    FeatureError
        If ``lexical`` is True, but no word occurs in two training texts of any fold, and
        characters do not help.
    """
    if not lexical:
        return None
    fitted = fit_lexical(texts, supervision)
    if fitted is not None:
        return Words(*fitted, asked_for=lexical != "auto")
    if lexical == "auto":
        return None
    raise FeatureError(
        "lexical=True needs words that occur in two texts or more, also if some texts are held "
        "out, or characters that tell the classes: found none. Leave it at 'auto', or add texts."
    )


def join_words(
    fitted: Head, candidates: Sequence[HeadCandidate], supervision: Supervision, words: Words | None
) -> tuple[PooledHead, tuple[HeadCandidate, ...]]:
    """Combine a head on fused vectors with the TF-IDF head if that helps.

    It helps if the pool of both has a lower held-out log loss than the head alone under its best
    exponent, by more than one standard error of the paired difference.

    Parameters
    ----------
    fitted, candidates
        From ``fit_head``, on vectors of the same texts.
    supervision : Supervision
        Labels, weights and groups of these texts.
    words : Words or None
        From ``fit_words``, on the same texts; None keeps the head alone.

    Returns
    -------
    head : PooledHead
        Fitted on all texts.
    candidates : tuple of HeadCandidate
        The given candidates, then those of the TF-IDF head and of the pool. The two exponents of
        the pool are fitted on the same held-out log probabilities that its quality is measured on.
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
