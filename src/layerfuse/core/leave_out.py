"""Leave-one-out residuals of ridge, by text or by group of texts, from one fit on all texts.

Groups of near-duplicates are left out together; otherwise they would leak each other's labels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layerfuse.core.arrays import Block, PerText, Targets

_CELLS = 2**20  # residuals (text, penalty, class) in memory at once

_LEAST_ROOM = 1e-6  # lower limit of 1 - leverage, for texts that alone span a direction


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """The part of the fits under all penalties that does not depend on the texts.

    Parameters
    ----------
    projected : array of shape (component, class)
        Targets in the space of the left singular vectors, in their precision.
    eigenvalues : array of shape (component,)
        Squares of the singular values.
    penalties : array of shape (penalty,)
        Added to every eigenvalue.
    """

    projected: np.ndarray
    eigenvalues: np.ndarray
    penalties: np.ndarray

    def of(self, basis: Block) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yield batches of rows with their fitted values and leverages.

        All penalties and classes are columns of one product, so that the basis is read once.

        Parameters
        ----------
        basis : array of shape (text, component)
            Rows of the left singular vectors, for all or some texts.

        Yields
        ------
        rows : slice
            Positions of the texts.
        fitted : array of shape (text, penalty, class)
            Fitted values without the intercept.
        leverages : array of shape (text, penalty)
            Diagonal of the hat matrix without the share of the intercept.
        """
        n_rows = max(1, _CELLS // max(1, self._columns.shape[1]))
        for start in range(0, len(basis), n_rows):
            rows = slice(start, start + n_rows)
            part = basis[rows]
            yield rows, self.at(part), np.square(part) @ self.shrinks

    def at(self, basis: Block) -> np.ndarray:
        """Return the fitted values of some rows, (text, penalty, class), without the intercept."""
        n_classes = self.projected.shape[1]
        fitted: np.ndarray = basis @ self._columns
        return fitted.reshape(len(basis), len(self.penalties), n_classes)

    @cached_property
    def shrinks(self) -> np.ndarray:
        """Shrinkage factor of each component under each penalty, (component, penalty) in 0 .. 1."""
        shrinks = self.eigenvalues[:, None] / (self.eigenvalues[:, None] + self.penalties)
        return np.asarray(shrinks.astype(self.projected.dtype))

    @cached_property
    def _columns(self) -> np.ndarray:
        """Coefficients of the components, (component, penalty * class)."""
        columns: np.ndarray = self.shrinks[:, :, None] * self.projected[:, None, :]
        return columns.reshape(len(columns), len(self.penalties) * self.projected.shape[1])


def groups_of_several(groups: np.ndarray | None) -> list[np.ndarray]:
    """Return the rows of each group with two texts or more; without groups, an empty list."""
    if groups is None:
        return []
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    return [part for part in parts if len(part) > 1]


def loo_residuals(targets: Targets, fitted: np.ndarray, leverages: np.ndarray) -> np.ndarray:
    """Return the residual of each text under fits without it, (text, penalty, class).

    Parameters
    ----------
    targets : array of shape (text, class)
        Targets minus their mean.
    fitted : array of shape (text, penalty, class)
        Fitted values with all texts, without the intercept.
    leverages : array of shape (text, penalty)
        Diagonal of the hat matrix with intercept.
    """
    room = np.maximum(1.0 - leverages, _LEAST_ROOM)
    return np.asarray((targets[:, None, :] - fitted) / room[:, :, None])


def group_residuals(
    fit: RidgeFit, basis: Block, centred: Targets, weights: PerText, groups: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches of texts with their residuals under fits without their groups.

    Parameters
    ----------
    fit : RidgeFit
        Fit on all texts, under all penalties.
    basis : array of shape (text, component)
        Left singular vectors.
    centred : array of shape (text, class)
        Targets minus their mean.
    weights : array of shape (text,)
        Weight of each text.
    groups : int array of shape (text,)
        Group of each text; the texts of a group are left out together.

    Yields
    ------
    rows : int array of shape (some text,)
        Positions of the texts, only of groups with two texts or more.
    errors : array of shape (some text, penalty, class)
        e_R = (I - G_RR)^-1 (y_R - yhat_R) of each group R.
    """
    roots = np.sqrt(weights)[:, None, None]
    root_shares = np.sqrt(weights / weights.sum())
    n_columns = len(fit.penalties) * centred.shape[1]
    for members in _stacked(groups, max(basis.shape[1], n_columns)):
        rows = members.ravel()
        part, root = basis[rows], roots[rows]
        residuals = root * centred[rows][:, None] - fit.at(part)
        solved = _solved(
            fit,
            part.reshape(*members.shape, basis.shape[1]),
            root_shares[members],
            residuals.reshape(*members.shape, *residuals.shape[1:]),
        )
        yield rows, solved.reshape(residuals.shape) / root


def _stacked(groups: np.ndarray, n_cells: int) -> Iterator[np.ndarray]:
    """Yield batches of groups of equal size, at least two, as rows (group, text).

    Parameters
    ----------
    groups : int array of shape (text,)
        Group of each text.
    n_cells : int
        Numbers in memory per text, which limit the groups in a batch.
    """
    by_size: dict[int, list[np.ndarray]] = {}
    for rows in groups_of_several(groups):
        by_size.setdefault(len(rows), []).append(rows)
    for size, of_size in by_size.items():
        at_once = max(1, _CELLS // (size * max(size, n_cells)))
        for start in range(0, len(of_size), at_once):
            yield np.stack(of_size[start : start + at_once])


def _solved(
    fit: RidgeFit, basis: np.ndarray, root_shares: np.ndarray, residuals: np.ndarray
) -> np.ndarray:
    """Return (I - G)^-1 times the residuals of groups, (group, text, penalty, class).

    G, the group's block of the hat matrix, is A A' with A = [U sqrt(shrinks), root_shares]. If a
    group has more texts than components, the smaller matrix A'A is inverted instead:
    (I - A A')^-1 = I + A (I - A'A)^-1 A'.

    Parameters
    ----------
    fit : RidgeFit
        Fit under all penalties.
    basis : array of shape (group, text, component)
        Rows of the left singular vectors U.
    root_shares : array of shape (group, text)
        Square root of each text's share of the total weight, for the intercept.
    residuals : array of shape (group, text, penalty, class)
        Residuals of the fit on all texts, times the square roots of the weights.
    """
    solved = np.empty(residuals.shape)
    intercept = root_shares[:, :, None].astype(basis.dtype)
    for i, shrink in enumerate(fit.shrinks.T):
        factor = np.concatenate([basis * np.sqrt(shrink), intercept], axis=2)
        transposed = factor.transpose(0, 2, 1)
        if factor.shape[1] <= factor.shape[2]:
            solved[:, :, i] = _over_room(factor @ transposed, residuals[:, :, i])
        else:
            inner = _over_room(transposed @ factor, transposed @ residuals[:, :, i])
            solved[:, :, i] = residuals[:, :, i] + factor @ inner
    return solved


def _over_room(hats: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return (I - hat)^-1 times values for each of a stack; eigenvalues have a lower limit."""
    room, vectors = np.linalg.eigh(np.eye(hats.shape[1]) - hats)
    rotated = vectors.transpose(0, 2, 1) @ values
    return np.asarray(vectors @ (rotated / np.maximum(room, _LEAST_ROOM)[:, :, None]))
