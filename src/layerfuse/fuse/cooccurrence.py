"""``cooccurrence``: how the layers of a text lie to each other, beside their averages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from layerfuse.core.arrays import Block, Features
from layerfuse.core.layers import LayerRef
from layerfuse.core.standardize import Standardizer
from layerfuse.fuse.fusion import Supervision, check_blocks
from layerfuse.fuse.mean import Mean
from layerfuse.fuse.sources import CommonAxes, source_of_each

_N_AXES = 256

_ROUNDING = 1e-5  # in units of the products: all that is left where two layers share no axis


@dataclass(frozen=True, slots=True, eq=False)
class Cooccurrence:
    """Layers averaged as in ``mean``, and one more block of inner products of layers.

    A text's layers on 256 axes in common are the rows of S; of P = S S', the upper triangle is
    power-normalised to 2 * sigmoid(sigma * P) - 1, standardised and scaled like any other block.

    Parameters
    ----------
    mean : Mean
        Averages the layers of each source.
    common : CommonAxes
        Each block is a part of its own.
    sigma : float
        One over the root mean square of P on the training texts, so that the normalisation bends
        where products are large, whatever their unit.
    standardizer : Standardizer
        Of the products, with 1 / sqrt(number of those that vary).

    Source
    ------
    Liu et al. 2024, *LLMEmbed*, ACL, arXiv:2406.03725; projected by principal axes here where they
    learn projections, so that nothing needs labels.
    """

    mean: Mean
    common: CommonAxes
    sigma: float
    standardizer: Standardizer

    @classmethod
    def fit_fuse(
        cls, blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
    ) -> tuple["Cooccurrence", Features]:
        """Find axes and scales, and fuse the training texts."""
        check_blocks(blocks, refs, supervision)
        own = np.arange(len(blocks), dtype=np.int64)
        common = CommonAxes.fit(blocks, own, _N_AXES, supervision.random_state)
        mean = Mean(common.concat, source_of_each(refs))
        raw = common.concat.fuse(blocks)
        products = inner_products(np.stack([*common.scores(raw)], axis=1))
        size = float(np.sqrt(np.square(products, dtype=np.float64).mean()))
        sigma = 1 / size if size > 0 else 1.0
        normalised = power_normalised(products, sigma)
        fitted = Standardizer.fit(normalised)
        alive = normalised.std(0, dtype=np.float64) > _ROUNDING
        scale = np.where(alive, fitted.scale / np.sqrt(max(1, alive.sum())), 0)
        fusion = cls(mean, common, sigma, Standardizer(fitted.mean, scale.astype(np.float32)))
        return fusion, fusion._beside_averages(normalised, raw)

    @property
    def out_width(self) -> int:
        """Width of the fused vector."""
        return self.mean.out_width + len(self.standardizer.mean)

    def fuse(self, blocks: Sequence[Block]) -> Features:
        """Return (text, out_width) float32 vectors.

        Raises
        ------
        ShapeError
            If the blocks are not as wide as those of ``fit_fuse``, or not all of the same texts.
        """
        raw = self.common.concat.fuse(blocks)
        products = inner_products(np.stack([*self.common.scores(raw)], axis=1))
        return self._beside_averages(power_normalised(products, self.sigma), raw)

    def _beside_averages(self, normalised: Block, raw: Block) -> Features:
        products = self.standardizer.apply(normalised)
        return np.concatenate([self.mean.averages(raw), products], axis=1)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        return {
            **self.common.arrays(),
            "groups": self.mean.groups,
            "sigma": np.array([self.sigma], dtype=np.float64),
            "products.mean": self.standardizer.mean,
            "products.scale": self.standardizer.scale,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Cooccurrence":
        """Rebuild from ``arrays``."""
        common = CommonAxes.from_arrays(arrays)
        products = Standardizer(arrays["products.mean"], arrays["products.scale"])
        mean = Mean(common.concat, arrays["groups"])
        return cls(mean, common, float(arrays["sigma"][0]), products)


def inner_products(stack: np.ndarray) -> Features:
    """Return the upper triangle of S S' of each text's stack S (row, axis), diagonal included."""
    rows, columns = np.triu_indices(stack.shape[1])
    return np.asarray((stack @ stack.transpose(0, 2, 1))[:, rows, columns])


def power_normalised(products: Features, sigma: float) -> Features:
    """Return 2 * sigmoid(sigma * products) - 1, in -1 .. 1."""
    return np.asarray(2 * expit(np.float32(sigma) * products) - 1, dtype=np.float32)
