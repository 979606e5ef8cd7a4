"""``stacking``: a logarithmic pool of one probe per source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from layerfuse.core.arrays import Block, Features, Gates
from layerfuse.core.calibrate import fit_pool_weights, pool
from layerfuse.core.layers import LayerRef
from layerfuse.core.supervision import Supervision
from layerfuse.fuse.fusion import check_blocks
from layerfuse.fuse.probes import Probes, centred
from layerfuse.fuse.sources import source_names, source_of_each


@dataclass(frozen=True, slots=True, eq=False)
class Stacking:
    """The logarithmic opinion pool of one calibrated probe per source, as one logit per class.

    Parameters
    ----------
    probes : Probes
        One per source.
    exponents : float64 array of shape (source,)
        Exponents of the pool, not negative.
    shares : float32 array of shape (source,)
        Weights of the sources: exponent times root mean square of the centred log probabilities,
        divided by their sum. An exponent alone may be large for a source that contributes little.

    Source
    ------
    Wolpert 1992, *Stacked Generalization*, Neural Networks 5, with the non-negative weights of
    Breiman 1996, *Stacked Regressions*, Machine Learning 24; here on log probabilities.
    """

    probes: Probes
    exponents: np.ndarray
    shares: np.ndarray

    @classmethod
    def fit_fuse(
        cls, blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
    ) -> tuple["Stacking", Features]:
        """Fit the probes, and the pool on their held-out log probabilities."""
        check_blocks(blocks, refs, supervision)
        probes, held_out = Probes.fit(blocks, source_of_each(refs), supervision)
        members = list(held_out.transpose(1, 0, 2).astype(float))
        exponents = fit_pool_weights(members, supervision)
        even = np.full(len(members), 1 / len(members))
        if not exponents.any():  # no source helps; constant vectors would stop the head
            exponents = even
        sizes = [float(np.sqrt(np.square(centred(member)).mean())) for member in members]
        strengths = exponents * sizes
        shares = strengths / strengths.sum() if strengths.any() else even
        fitted = cls(probes, exponents, shares.astype(np.float32))
        return fitted, centred(pool(members, exponents))

    @property
    def out_width(self) -> int:
        """Width of the fused vector: the number of classes."""
        return self.probes.n_classes

    def fuse(self, blocks: Sequence[Block]) -> Features:
        """Return (text, class) float32 logits, centred over classes.

        Raises
        ------
        ShapeError
            If blocks are not as wide as those of ``fit_fuse``, or differ in the number of texts.
        """
        members = self.probes.log_probabilities(blocks).transpose(1, 0, 2)
        return centred(pool(list(members), self.exponents))

    def gates(self, blocks: Sequence[Block]) -> Gates:
        """Return the share of each source in the pool, the same in every row, (text, source)."""
        return np.tile(self.shares, (len(blocks[0]), 1))

    def gate_names(self, refs: Sequence[LayerRef]) -> tuple[str, ...]:
        """Return ``backbone:pooling`` of each source."""
        return source_names(refs)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        return {**self.probes.arrays(), "exponents": self.exponents, "shares": self.shares}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Stacking":
        """Rebuild from ``arrays``."""
        return cls(Probes.from_arrays(arrays), arrays["exponents"], arrays["shares"])
