"""``cooccurrence``: inner products of the layers of a text, concatenated with their averages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from layerfuse.core.arrays import Block, Features
from layerfuse.core.layers import LayerRef
from layerfuse.core.standardize import Standardizer
from layerfuse.core.supervision import Supervision
from layerfuse.fuse.fusion import check_blocks
from layerfuse.fuse.mean import Mean
from layerfuse.fuse.sources import CommonAxes, leading_axes, source_of_each

_N_AXES = 256
_FEW_TEXTS = 8 * _N_AXES  # with more texts, axes hardly change if one text is left out

_ROUNDING = 1e-5  # products of layers that share no axis deviate less, by rounding alone

Folds = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, slots=True, eq=False)
class Cooccurrence:
    """Layers averaged as in ``mean``, concatenated with a block of inner products of layers.

    The rows of S are a text's layers on 256 common axes (fewer with few texts). The upper triangle
    of P = S S' is power-normalised to 2 * sigmoid(sigma * P) - 1, standardised and scaled like any
    other block.

    Parameters
    ----------
    mean : Mean
        Averages the layers of each source.
    common : CommonAxes
        Common axes of all blocks; each block is a part.
    sigma : float
        1 / (root mean square of P on the training texts), so that the normalisation does not depend
        on the unit of the products.
    standardizer : Standardizer
        For the normalised products; its scale includes 1 / sqrt(number of products that vary).

    Source
    ------
    Liu et al. 2024, *LLMEmbed*, ACL, arXiv:2406.03725. They learn projections; here principal axes
    project, which needs no labels.
    """

    mean: Mean
    common: CommonAxes
    sigma: float
    standardizer: Standardizer

    @classmethod
    def fit_fuse(
        cls, blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
    ) -> tuple["Cooccurrence", Features]:
        """Fit axes and scales, and fuse the training texts; few, each on axes that did not see it.

        Axes of few texts span these texts fully and new ones only in part, so the products of new
        texts would be smaller.
        """
        check_blocks(blocks, refs, supervision)
        parts = np.arange(len(blocks), dtype=np.int64)  # each block is a part
        folds = _folds(supervision)
        n_axes = min([_N_AXES, *(max(1, len(train) - 1) for train, _ in folds)])
        common = CommonAxes.fit(blocks, parts, n_axes, supervision.random_state)
        mean = Mean(common.concat, source_of_each(refs))
        raw = common.concat.fuse(blocks)
        products = _as_unseen(common, raw, folds, supervision.random_state)
        size = float(np.sqrt(np.square(products, dtype=np.float64).mean()))
        sigma = 1 / size if size > 0 else 1.0
        normalised = power_normalised(products, sigma)
        fitted = Standardizer.fit(normalised)
        varies = normalised.std(0, dtype=np.float64) > _ROUNDING
        scale = np.where(varies, fitted.scale / np.sqrt(max(1, varies.sum())), 0)
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
            If blocks are not as wide as those of ``fit_fuse``, or differ in the number of texts.
        """
        raw = self.common.concat.fuse(blocks)
        products = inner_products(self.common.stacked(raw))
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


def _folds(supervision: Supervision) -> Folds:
    """Return folds of (rows to fit axes on, rows to fuse); none if there are enough texts."""
    labels = supervision.labels
    if len(labels) > _FEW_TEXTS or np.bincount(labels).max() == 1:
        return []
    return supervision.folds()


def _as_unseen(common: CommonAxes, raw: Block, folds: Folds, random_state: int) -> Features:
    """Return the products of each training text on axes that were fitted without it.

    Without folds, the axes are those of all texts. Each fold has other axes, but inner products do
    not depend on the basis of a space. Texts are centred by the mean of the fold, because the mean
    of all texts includes those left out.
    """
    products = inner_products(common.stacked(raw))
    for train, rest in folds:
        mean = raw[train].mean(0)
        axes = leading_axes(raw[train] - mean, common.axes.shape[1], random_state)
        fold_axes = CommonAxes(common.concat, axes, common.parts)
        products[rest] = inner_products(fold_axes.stacked(raw[rest] - mean))
    return products


def inner_products(stack: np.ndarray) -> Features:
    """Return the upper triangle of S S' of each text's stack S (row, axis), diagonal included."""
    rows, columns = np.triu_indices(stack.shape[1])
    return np.asarray((stack @ stack.transpose(0, 2, 1))[:, rows, columns])


def power_normalised(products: Features, sigma: float) -> Features:
    """Return 2 * sigmoid(sigma * products) - 1, in -1 .. 1."""
    return np.asarray(2 * expit(np.float32(sigma) * products) - 1, dtype=np.float32)
