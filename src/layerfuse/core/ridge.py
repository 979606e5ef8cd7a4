"""Ridge regression with exact leave-one-out errors, for all penalties and classes at once.

Groups of near-duplicates are left out together; otherwise they would leak each other's labels.

The ``loo_ridge`` criterion, the fusions that learn and the ridge head share this module, because
stages never import each other.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

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
from layerfuse.core.leave_out import (
    RidgeFit,
    group_residuals,
    groups_of_several,
    loo_residuals,
)

N_PENALTIES = 13
"""Number of penalties in the default grid, half a decade apart."""


def present_classes(labels: ClassIndices) -> ClassIndices:
    """Return class indices numbered anew, so that each of 0 .. n_classes - 1 has a text.

    Every criterion that uses labels begins with this: a function of the caller that scores only
    some of the texts may leave a class without any, which must not count as a class.

    Parameters
    ----------
    labels : int array of shape (text,)
        Class indices, of which some may have no text.

    Returns
    -------
    int array of shape (text,)
        Indices in the same order, without gaps.

    Raises
    ------
    LabelError
        If there are fewer than two classes.
    """
    names, classes = np.unique(labels, return_inverse=True)
    if len(names) < 2:  # noqa: PLR2004
        raise LabelError("Expected labels of at least two classes, all are the same.")
    return classes


def one_hot(labels: ClassIndices) -> Targets:
    """Return a column per class, with 1 for the texts of that class.

    Raises
    ------
    LabelError
        If there are fewer than two classes.
    """
    if len(np.unique(labels)) < 2:  # noqa: PLR2004
        raise LabelError("Expected labels of at least two classes, all are the same.")
    targets: Targets = np.eye(int(labels.max()) + 1)[labels]
    return targets


@dataclass(frozen=True, slots=True, eq=False)
class RidgePath:
    """One eigendecomposition of centred features, which serves every penalty.

    Parameters
    ----------
    basis : array of shape (text, component)
        Left singular vectors U of the centred, weighted features.
    axes : array of shape (feature, component) or None
        Right singular vectors V; None if there were more features than texts.
    eigenvalues : array of shape (component,)
        Squares of the singular values, descending.
    penalties : array of shape (penalty,)
        Penalty grid; a penalty is added to every eigenvalue.
    weights : array of shape (text,)
        Weight of each text; they sum to the number of texts.
    """

    basis: Block
    axes: Axes | None
    eigenvalues: np.ndarray
    penalties: np.ndarray
    weights: PerText

    def projected(self, targets: Targets) -> np.ndarray:
        """Return U' sqrt(w) (targets - their mean), from which every fit is computed."""
        centred = np.sqrt(self.weights)[:, None] * (targets - self.mean_target(targets))
        return np.asarray(self.basis.T @ centred.astype(self.basis.dtype))

    def mean_target(self, targets: Targets) -> np.ndarray:
        """Return the weighted mean of each column of the targets."""
        return np.asarray(self.weights @ targets / self.weights.sum())

    def loo_errors(
        self, targets: Targets, penalty: float, groups: np.ndarray | None = None
    ) -> Targets:
        """Return the exact leave-one-out residuals (text, class) under one penalty.

        With hat matrix G of the fit with intercept, e_i = (y_i - yhat_i) / (1 - G_ii); for a group
        R, e_R = (I - G_RR)^-1 (y_R - yhat_R): Cook and Weisberg 1982, *Residuals and Influence in
        Regression*, sections 2.2 and 3.6; for ridge, Golub, Heath and Wahba 1979.

        Parameters
        ----------
        targets : array of shape (text, class)
            One column per class.
        penalty : float
            Added to every eigenvalue.
        groups : int array of shape (text,), optional
            Groups that are left out together, from ``separable_groups``. Default: there are none.

        Returns
        -------
        array of shape (text, class)
            Row i is the residual of text i under the fit without text i and its group.
        """
        path = dataclasses.replace(self, penalties=np.array([penalty]))
        errors = np.empty(targets.shape)
        for rows, part in path._loo_errors(targets, groups):  # noqa: SLF001 - itself
            errors[rows] = part[:, 0]
        return errors

    def held_out(
        self, targets: Targets, penalty: float, groups: np.ndarray | None = None
    ) -> Targets:
        """Return decisions by coefficients fitted without the text, and the intercept of all texts.

        If the intercept also left the text out, it would be biased against the text's own class,
        which has one text fewer without it. With uninformative features, a model that learns from
        such decisions would read the labels off this bias, with the wrong sign.

        Parameters
        ----------
        targets, penalty, groups
            As in ``loo_errors``.

        Returns
        -------
        array of shape (text, class)
            Mean target plus (x_i - mean x)' b, where b are the coefficients without text i and its
            group.
        """
        errors = self.loo_errors(targets, penalty, groups)
        shifts = self.weights[:, None] * errors / self.weights.sum()
        for rows in groups_of_several(groups):
            shifts[rows] = shifts[rows].sum(0)
        return np.asarray(targets - errors + shifts)

    def _loo_errors(
        self, targets: Targets, groups: np.ndarray | None
    ) -> Iterator[tuple[slice | np.ndarray, np.ndarray]]:
        """Yield the errors with each text left out singly, then those of groups to replace them."""
        centred = targets - self.mean_target(targets)
        roots = np.sqrt(self.weights)[:, None, None]
        shares = self.weights / self.weights.sum()
        fit = RidgeFit(self.projected(targets), self.eigenvalues, self.penalties)
        for rows, fitted, leverage in fit.of(self.basis):
            plain = fitted / roots[rows]
            yield rows, loo_residuals(centred[rows], plain, leverage + shares[rows, None])
        if groups is not None:
            yield from group_residuals(fit, self.basis, centred, self.weights, groups)

    def best(self, targets: Targets, groups: np.ndarray | None = None) -> tuple[float, PerText]:
        """Return the penalty with the lowest leave-one-out Brier score, and its losses.

        Parameters
        ----------
        targets : array of shape (text, class)
            One-hot.
        groups : int array of shape (text,), optional
            As in ``loo_errors``.

        Returns
        -------
        penalty : float
            The best penalty of the grid.
        losses : array of shape (text,)
            Brier score of each text: its squared error summed over classes, usually in 0 .. 2.
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

    def linear(
        self, features: Features, targets: Targets, penalty: float
    ) -> tuple[Coefficients, np.ndarray]:
        """Return the coefficients, and the intercept (class,) for uncentred features."""
        coefficients = self.coefficients(targets, penalty)
        mean = self.weights @ features / len(features)
        return coefficients, self.mean_target(targets) - mean @ coefficients

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
    """Decompose features for ridge regression, over features or texts, whichever are fewer.

    Parameters
    ----------
    features : array of shape (text, feature)
        Finite features. They are centred here, but not scaled. If all are constant, such as the
        first token of the embedding output, there is no component, and every fit is the mean of the
        targets.
    penalties : array, optional
        In units of the mean eigenvalue. Default: 13 from 1e-3 to 1e3.
    weights : array of shape (text,), optional
        Positive weight of each text. Default: all equal.

    Returns
    -------
    RidgePath
        The decomposition, for any targets.

    Raises
    ------
    FeatureError
        If features contain NaN or infinity.
    """
    if not np.isfinite(features).all():
        raise FeatureError("Expected finite features, found NaN or infinity.")
    n_texts, width = features.shape
    weights = np.ones(n_texts) if weights is None else weights * (n_texts / weights.sum())
    mean = (weights @ features / n_texts).astype(features.dtype)
    centred = np.sqrt(weights)[:, None].astype(features.dtype) * (features - mean)
    gram = centred.T @ centred if width <= n_texts else centred @ centred.T
    # Takes half the time of numpy.linalg.eigh at 2,048 features.
    eigenvalues, vectors = scipy.linalg.eigh(
        gram, driver="evd", overwrite_a=True, check_finite=False
    )
    # Only rounding noise is dropped: penalties shrink weak directions, and decoders have many of
    # them beside a few very strong ones.
    keep = eigenvalues > max(eigenvalues[-1], 0) * 4 * np.finfo(gram.dtype).eps
    eigenvalues, vectors = eigenvalues[keep][::-1], vectors[:, keep][:, ::-1]
    through_features = width <= n_texts
    basis = centred @ (vectors / np.sqrt(eigenvalues)) if through_features else vectors
    grid = np.logspace(-3, 3, N_PENALTIES) if penalties is None else penalties
    scale = float(eigenvalues.mean()) if len(eigenvalues) else 1.0
    axes = vectors if through_features else None
    return RidgePath(basis, axes, eigenvalues, grid * scale, weights)
