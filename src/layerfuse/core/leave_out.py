"""What ridge fits without a text, or without a group of texts, get wrong, from one fit with all.

Texts that repeat each other are left out together, or each would be known by the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layerfuse.core.arrays import Block, PerText, Targets

_CELLS = 2**20  # residuals held at once: of some texts, for every penalty and class

_LEAST_ROOM = 1e-6  # a text alone in its direction stays in


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


def groups_of_several(groups: np.ndarray | None) -> list[np.ndarray]:
    """Return the rows of each group that has two or more; of no groups, none."""
    if groups is None:
        return []
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    return [part for part in parts if len(part) > 1]


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


def group_residuals(
    fit: RidgeFit, basis: Block, centred: Targets, weights: PerText, groups: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield some texts at a time, and what fits without their groups get wrong on them.

    Parameters
    ----------
    fit : RidgeFit
        Of all penalties, with all texts.
    basis : array of shape (text, component)
        Left singular vectors.
    centred : array of shape (text, class)
        Targets less their mean.
    weights : array of shape (text,)
        Weight of each text.
    groups : int array of shape (text,)
        Texts that are left out together.

    Yields
    ------
    rows : int array of shape (some text,)
        Which texts; those that are alone in their group never come.
    errors : array of shape (some text, penalty, class)
        e_R = (I - G_RR)^-1 (y_R - yhat_R) of each group R.
    """
    roots = np.sqrt(weights)[:, None, None]
    root_shares = np.sqrt(weights / weights.sum())
    n_columns = len(fit.penalties) * centred.shape[1]
    for members in _stacked(groups, max(basis.shape[1], n_columns)):
        rows = members.ravel()
        own, root = basis[rows], roots[rows]
        residuals = root * centred[rows][:, None] - fit.at(own)
        solved = _solved(
            fit,
            own.reshape(*members.shape, basis.shape[1]),
            root_shares[members],
            residuals.reshape(*members.shape, *residuals.shape[1:]),
        )
        yield rows, solved.reshape(residuals.shape) / root


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
