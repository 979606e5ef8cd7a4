"""Ridge regression with its exact leave-one-out errors, for all penalties and classes at once.

Texts that repeat each other are left out together, or each would be known by the others.

Shared mathematics of the ``loo_ridge`` criterion, the greedy selector and the ridge head: stages
never import each other, so what several of them need lives here.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg

from layerfuse.core.arrays import (
    Axes,
    Block,
    ClassIndices,
    Coefficients,
    Features,
    PerText,
    Targets,
)
from layerfuse.core.errors import FeatureError, LabelError

N_PENALTIES = 13
"""Points of the default penalty grid, half a decade apart."""

_CELLS = 2**20  # residuals held at once: of some texts, for every penalty and class

_LEAST_ROOM = 1e-6  # a text alone in its direction stays in


def one_hot(labels: ClassIndices) -> Targets:
    """Return a column per class, 1 where the text is of that class.

    Raises
    ------
    LabelError
        If there are fewer than two classes.
    """
    n_classes = int(labels.max()) + 1
    if n_classes < 2 or len(np.unique(labels)) < 2:  # noqa: PLR2004
        raise LabelError("Expected labels of at least two classes, all are the same.")
    targets: Targets = np.eye(n_classes)[labels]
    return targets


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """What all penalties fit to some targets, as far as it does not depend on the texts.

    Parameters
    ----------
    projected : array of shape (component, class)
        Targets in the space of the left singular vectors, as precise as these.
    eigenvalues : array of shape (component,)
        Squares of the singular values.
    penalties : array of shape (penalty,)
        Added to every eigenvalue.
    """

    projected: np.ndarray
    eigenvalues: np.ndarray
    penalties: np.ndarray

    def of(self, basis: Block) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yield some rows at a time, what is fitted there, and their leverages.

        All penalties and classes are columns of one product, so that the basis is read once.

        Parameters
        ----------
        basis : array of shape (text, component)
            Left singular vectors, at all texts or at some.

        Yields
        ------
        rows : slice
            Which texts.
        fitted : array of shape (text, penalty, class)
            Values of the fits, less the intercept.
        leverages : array of shape (text, penalty)
            Diagonal of the hat matrix, less the share of the intercept.
        """
        n_rows = max(1, _CELLS // max(1, self._columns.shape[1]))
        for start in range(0, len(basis), n_rows):
            rows = slice(start, start + n_rows)
            part = basis[rows]
            yield rows, self.at(part), np.square(part) @ self.shrinks

    def at(self, basis: Block) -> np.ndarray:
        """Return what is fitted at some rows, (text, penalty, class), less the intercept."""
        n_classes = self.projected.shape[1]
        fitted: np.ndarray = basis @ self._columns
        return fitted.reshape(len(basis), len(self.penalties), n_classes)

    @cached_property
    def shrinks(self) -> np.ndarray:
        """What each penalty leaves of a component, (component, penalty) in 0 .. 1."""
        shrinks = self.eigenvalues[:, None] / (self.eigenvalues[:, None] + self.penalties)
        return np.asarray(shrinks.astype(self.projected.dtype))

    @cached_property
    def _columns(self) -> np.ndarray:
        """Coefficients of the components, (component, penalty * class)."""
        columns: np.ndarray = self.shrinks[:, :, None] * self.projected[:, None, :]
        return columns.reshape(len(columns), len(self.penalties) * self.projected.shape[1])


def groups_of_several(groups: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each group that has two or more."""
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    return [part for part in parts if len(part) > 1]


def _stacked(groups: np.ndarray, n_cells: int) -> Iterator[np.ndarray]:
    """Yield the rows of some groups of one size at a time, (group, text), if not of one text.

    Parameters
    ----------
    groups : int array of shape (text,)
        Of all texts.
    n_cells : int
        What a text costs beside those of its group: bounds how many groups come at once.
    """
    by_size: dict[int, list[np.ndarray]] = {}
    for rows in groups_of_several(groups):
        by_size.setdefault(len(rows), []).append(rows)
    for size, own in by_size.items():
        at_once = max(1, _CELLS // (size * max(size, n_cells)))
        for start in range(0, len(own), at_once):
            yield np.stack(own[start : start + at_once])


def _solved(
    fit: RidgeFit, basis: np.ndarray, root_shares: np.ndarray, residuals: np.ndarray
) -> np.ndarray:
    """Return (I - G)^-1 times the residuals of groups, (group, text, penalty, class).

    G, their part of the hat matrix, is A A' with A = [U sqrt(shrinks), root_shares]. A group of
    more texts than components is solved through these: (I - A A')^-1 = I + A (I - A'A)^-1 A'.

    Parameters
    ----------
    fit : RidgeFit
        Of all penalties.
    basis : array of shape (group, text, component)
        Left singular vectors U at the texts.
    root_shares : array of shape (group, text)
        Roots of their shares of the weight of all texts, for the intercept.
    residuals : array of shape (group, text, penalty, class)
        Of the fit with all texts, times the roots of the weights.
    """
    solved = np.empty(residuals.shape)
    own_root = root_shares[:, :, None].astype(basis.dtype)
    for i, shrink in enumerate(fit.shrinks.T):
        factor = np.concatenate([basis * np.sqrt(shrink), own_root], axis=2)
        turned = factor.transpose(0, 2, 1)
        if factor.shape[1] <= factor.shape[2]:
            solved[:, :, i] = _over_room(factor @ turned, residuals[:, :, i])
        else:
            through = _over_room(turned @ factor, turned @ residuals[:, :, i])
            solved[:, :, i] = residuals[:, :, i] + factor @ through
    return solved


def _over_room(hats: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return (I - hat)^-1 times values for each of a stack, no room less than the least."""
    room, vectors = np.linalg.eigh(np.eye(hats.shape[1]) - hats)
    turned = vectors.transpose(0, 2, 1) @ values
    return np.asarray(vectors @ (turned / np.maximum(room, _LEAST_ROOM)[:, :, None]))


def loo_residuals(targets: Targets, fitted: np.ndarray, leverages: np.ndarray) -> np.ndarray:
    """Return what fits without a text get wrong on it, (text, penalty, class).

    Parameters
    ----------
    targets : array of shape (text, class)
        Less their mean.
    fitted : array of shape (text, penalty, class)
        With all texts, less the intercept.
    leverages : array of shape (text, penalty)
        Diagonal of the hat matrix with intercept.
    """
    room = np.maximum(1.0 - leverages, _LEAST_ROOM)
    return np.asarray((targets[:, None, :] - fitted) / room[:, :, None])


@dataclass(frozen=True, slots=True, eq=False)
class RidgePath:
    """One eigendecomposition of centred features, from which every penalty follows.

    Parameters
    ----------
    basis : array of shape (text, component)
        Left singular vectors U of the centred, weighted features.
    axes : array of shape (feature, component) or None
        Their right singular vectors V, where the decomposition went through the features.
    eigenvalues : array of shape (component,)
        Squares of the singular values, descending.
    penalties : array of shape (penalty,)
        The grid, in units of the mean eigenvalue, so that it fits features of any scale.
    weights : array of shape (text,)
        Weight of each text; they sum to the number of texts.
    """

    basis: Block
    axes: Axes | None
    eigenvalues: np.ndarray
    penalties: np.ndarray
    weights: PerText

    def projected(self, targets: Targets) -> np.ndarray:
        """Return U' sqrt(w) (targets - their mean): what every fit of these targets starts from."""
        centred = np.sqrt(self.weights)[:, None] * (targets - self.mean_target(targets))
        return np.asarray(self.basis.T @ centred.astype(self.basis.dtype))

    def mean_target(self, targets: Targets) -> np.ndarray:
        """Return the weighted mean of each column of the targets."""
        return np.asarray(self.weights @ targets / self.weights.sum())

    def loo_errors(
        self, targets: Targets, penalty: float, groups: np.ndarray | None = None
    ) -> Targets:
        """Return the exact leave-one-out residuals (text, class) under one penalty.

        With hat matrix G of the fit with intercept, e_i = (y_i - yhat_i) / (1 - G_ii); of a group
        R, e_R = (I - G_RR)^-1 (y_R - yhat_R): Cook and Weisberg 1982, *Residuals and Influence in
        Regression*, sections 2.2 and 3.6; for ridge, Golub, Heath and Wahba 1979.

        Parameters
        ----------
        targets : array of shape (text, class)
            One column per class.
        penalty : float
            Added to every eigenvalue.
        groups : int array of shape (text,), optional
            Texts that are left out together, from ``separable_groups``. Default: none are.

        Returns
        -------
        array of shape (text, class)
            What a fit without text i, and without its group, gets wrong on text i.
        """
        path = dataclasses.replace(self, penalties=np.array([penalty]))
        errors = np.empty(targets.shape)
        for rows, part in path._loo_errors(targets, groups):  # noqa: SLF001 - itself
            errors[rows] = part[:, 0]
        return errors

    def _loo_errors(
        self, targets: Targets, groups: np.ndarray | None
    ) -> Iterator[tuple[slice | np.ndarray, np.ndarray]]:
        """Yield the errors of each text left out alone, then those of groups in their place."""
        centred = targets - self.mean_target(targets)
        roots = np.sqrt(self.weights)[:, None, None]
        shares = self.weights / self.weights.sum()
        fit = RidgeFit(self.projected(targets), self.eigenvalues, self.penalties)
        for rows, fitted, leverage in fit.of(self.basis):
            plain = fitted / roots[rows]
            yield rows, loo_residuals(centred[rows], plain, leverage + shares[rows, None])
        if groups is None:
            return
        n_columns = len(self.penalties) * targets.shape[1]
        for members in _stacked(groups, max(self.basis.shape[1], n_columns)):
            joined = members.ravel()
            own, root = self.basis[joined], roots[joined]
            residuals = root * centred[joined][:, None] - fit.at(own)
            solved = _solved(
                fit,
                own.reshape(*members.shape, -1),
                np.sqrt(shares[members]),
                residuals.reshape(*members.shape, *residuals.shape[1:]),
            )
            yield joined, solved.reshape(residuals.shape) / root

    def best(self, targets: Targets, groups: np.ndarray | None = None) -> tuple[float, PerText]:
        """Return the penalty with the lowest leave-one-out Brier score, and the losses there.

        Parameters
        ----------
        targets : array of shape (text, class)
            One-hot.
        groups : int array of shape (text,), optional
            As in ``loo_errors``.

        Returns
        -------
        penalty : float
            The best of the grid.
        losses : array of shape (text,)
            Squared error of each text summed over classes: its Brier score, in 0 .. 2 for sane
            fits.
        """
        losses = np.empty((len(self.penalties), len(targets)))
        for rows, errors in self._loo_errors(targets, groups):
            losses[:, rows] = np.einsum("tpc,tpc->pt", errors, errors)
        best = int(np.argmin(losses @ self.weights))
        return float(self.penalties[best]), losses[best]

    def coefficients(self, targets: Targets, penalty: float) -> Coefficients:
        """Return the coefficients (feature, class) of the fit on centred features.

        Raises
        ------
        FeatureError
            If there were more features than texts, so that the decomposition has no axes.
        """
        gain = np.sqrt(self.eigenvalues) / (self.eigenvalues + penalty)
        return np.asarray(self._axes() @ (gain[:, None] * self.projected(targets)))

    def solve(self, centred: Features, penalty: float) -> Features:
        """Return (X'WX + penalty I)^-1 times each row of centred features, (text, feature).

        Raises
        ------
        FeatureError
            If there were more features than texts, so that the decomposition has no axes.
        """
        axes = self._axes()
        return np.asarray(centred @ axes / (self.eigenvalues + penalty) @ axes.T)

    def _axes(self) -> Axes:
        if self.axes is None:
            raise FeatureError("Expected no more features than texts; project them first.")
        return self.axes


def ridge_path(
    features: Features, *, penalties: np.ndarray | None = None, weights: PerText | None = None
) -> RidgePath:
    """Decompose features for ridge regression, through features or texts, whichever are fewer.

    Parameters
    ----------
    features : array of shape (text, feature)
        Finite. Centred here; scaling them is the caller's choice. Features that never vary (the
        first token of the embedding layer, for one) leave no component: every fit is then the mean
        of the targets.
    penalties : array, optional
        In units of the mean eigenvalue. Default: 13 from 1e-3 to 1e3.
    weights : array of shape (text,), optional
        Positive weight of each text. Default: all equal.

    Returns
    -------
    RidgePath
        Ready for any targets.

    Raises
    ------
    FeatureError
        If features hold NaN or infinity.
    """
    if not np.isfinite(features).all():
        raise FeatureError("Expected finite features, found NaN or infinity.")
    n_texts, width = features.shape
    weights = np.ones(n_texts) if weights is None else weights * (n_texts / weights.sum())
    mean = (weights @ features / n_texts).astype(features.dtype)
    centred = np.sqrt(weights)[:, None].astype(features.dtype) * (features - mean)
    gram = centred.T @ centred if width <= n_texts else centred @ centred.T
    # Half the time of numpy.linalg.eigh, at 2,048 features.
    eigenvalues, vectors = scipy.linalg.eigh(
        gram, driver="evd", overwrite_a=True, check_finite=False
    )
    # Only rounding noise goes: penalties tame weak directions, and decoders have many beside a few
    # huge ones.
    keep = eigenvalues > max(eigenvalues[-1], 0) * 4 * np.finfo(gram.dtype).eps
    eigenvalues, vectors = eigenvalues[keep][::-1], vectors[:, keep][:, ::-1]
    through_features = width <= n_texts
    basis = centred @ (vectors / np.sqrt(eigenvalues)) if through_features else vectors
    grid = np.logspace(-3, 3, N_PENALTIES) if penalties is None else penalties
    scale = float(eigenvalues.mean()) if len(eigenvalues) else 1.0
    axes = vectors if through_features else None
    return RidgePath(basis, axes, eigenvalues, grid * scale, weights)
