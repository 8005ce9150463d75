"""Maximum likelihood with what may be asked of it: has it converged, how sure is it, and within which devices.

A likelihood is a function of the parameters that gives the log-likelihood of each device (devices,): devices are
independent, what was measured of one need not be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import FitError
from imcsim.fit.result import FEW_DEVICES, Parameter

Array = NDArray[Any]
Likelihood = Callable[[Array], Array]

CHI2_95 = 3.841458820694124  # of one degree of freedom
Z_95 = 1.959963984540054
_DRAWS = 1999
_REFITS = 699
_REFITTED = 2000  # with more devices a second step of a draw changes nothing
_STEP = 1e-4  # of the first axes
_DECREMENT = 1e-3  # in units of log-likelihood: far below what any interval is made of
_ALIKE = 1.0  # how far, in logarithm, curvatures along the axes may be from 1
_SLOWEST = 1e-6  # a curvature in one step of the axes
_FLAT = 1e4  # of itself, or of its size: a parameter as uncertain as that is not told


@dataclass(frozen=True, kw_only=True)
class Free:
    """A parameter that is fitted: where the search starts, its bounds, and whether its logarithm is what is searched.

    `size` is the scale on which one that is not searched by its logarithm changes.
    """

    name: str
    unit: str
    what: str
    start: float
    low: float = -np.inf
    high: float = np.inf
    log: bool = False
    size: float = 1.0

    def inward(self, value: float) -> float:
        """The coordinate in which a value is searched."""
        return float(np.log(value)) if self.log else value / self.size

    def outward(self, theta: Any) -> Any:
        """The value at a coordinate, or at an array of them."""
        return np.exp(theta) if self.log else theta * self.size


@dataclass(frozen=True)
class Maximum:
    """The best parameters (p,), the log-likelihood there, and how it falls about it.

    `axes` (p, inside) are directions, in the coordinates, along which the log-likelihood falls alike: by a half in a
    step of one. Parameters at a bound have none.
    """

    free: tuple[Free, ...]
    theta: Array
    log_likelihood: float
    axes: Array
    at_bound: Array
    devices: int

    @property
    def values(self) -> Array:
        """The best parameters as they are told."""
        return np.array([one.outward(t) for one, t in zip(self.free, self.theta, strict=True)])

    @property
    def aic(self) -> float:
        """Akaike's criterion: the less, the better."""
        return 2 * len(self.free) - 2 * self.log_likelihood

    @property
    def covariance(self) -> Array:
        """The inverse of the observed information; NaN of a parameter at a bound."""
        found = self.axes @ self.axes.T
        found[self.at_bound, :] = found[:, self.at_bound] = np.nan
        return found

    @property
    def is_loose(self) -> bool:
        """Whether a parameter may as well be several times as large: the curve has more of them than the data tell."""
        errors = np.sqrt(np.diag(self.axes @ self.axes.T))
        return any(one.log and error > 1 for one, error in zip(self.free, errors, strict=True))

    def drawn(self, rng: np.random.Generator, count: int) -> Array:
        """Values as uncertain as the information has them: (count, p)."""
        theta = self.theta + rng.standard_normal((count, self.axes.shape[1])) @ self.axes.T
        return np.stack([one.outward(column) for one, column in zip(self.free, theta.T, strict=True)], axis=1)

    def warnings(self) -> list[str]:
        """Those of parameters that the search left at a bound."""
        return [
            f"{one.name} is at its bound, {one.outward(t):g} {one.unit}: the data do not hold it"
            for one, t, stuck in zip(self.free, self.theta, self.at_bound, strict=True)
            if stuck
        ]


def in_values(likelihood: Likelihood, free: Sequence[Free]) -> Likelihood:
    """A likelihood of values as one of the coordinates in which they are searched."""
    return lambda theta: likelihood(np.array([one.outward(t) for one, t in zip(free, theta, strict=True)]))


@np.errstate(all="ignore")  # what is not finite is what a search turns back from
def maximise(
    likelihood: Likelihood, free: Sequence[Free], where: str, starts: Sequence[Sequence[float]] = ()
) -> Maximum:
    """The maximum of `likelihood` of the values of `free`, searched from their starts and from `starts` (values).

    Raises FitError where no search ends at a maximum: what has not converged is no result.
    """
    from scipy.optimize import minimize

    inner = in_values(likelihood, free)
    low = np.array(
        [one.inward(one.low) if np.isfinite(one.low) and not (one.log and one.low <= 0) else -np.inf for one in free]
    )
    high = np.array([one.inward(one.high) if np.isfinite(one.high) else np.inf for one in free])

    def cost(theta: Array) -> float:
        with np.errstate(all="ignore"):
            total = -float(np.sum(inner(theta)))
        return total if np.isfinite(total) else 1e300

    best: Array | None = None
    for start in ([one.start for one in free], *starts):
        begin = np.clip([one.inward(value) for one, value in zip(free, start, strict=True)], low, high)
        if cost(begin) >= 1e300:
            continue
        found = minimize(
            cost,
            begin,
            method="L-BFGS-B",
            jac=lambda t: _gradient_of(cost, t, low, high),
            bounds=list(zip(low, high, strict=True)),
            options={"maxiter": 300, "ftol": 1e-13, "gtol": 1e-9},
        )
        if best is None or found.fun < cost(best):
            best = found.x
    if best is None:
        raise FitError.of((where,), "cannot begin: the likelihood is not finite at its starting values")
    return _polished(inner, cost, best, tuple(free), low, high, where)


def _polished(
    inner: Likelihood,
    cost: Callable[[Array], float],
    theta: Array,
    free: tuple[Free, ...],
    low: Array,
    high: Array,
    where: str,
) -> Maximum:
    """Newton's steps from where the search ended, along axes on which the cost curves alike.

    FitError where they end at no maximum.
    """
    names = ", ".join(one.name for one in free)
    inside = np.ones(theta.size, bool)
    axes = np.diag(_STEP * np.maximum(1.0, np.abs(theta)))
    decrement = np.inf
    for _ in range(60):
        stuck = _at_bound(cost, theta, low, high)
        if (stuck == inside).any():
            inside = ~stuck
            axes = np.diag(_STEP * np.maximum(1.0, np.abs(theta)))[:, inside]
        along = _along(cost, theta, axes)
        zero = np.zeros(axes.shape[1])
        gradient, hessian = _gradient(along, zero), _hessian(along, zero)
        curvature, turned = (
            np.linalg.eigh(hessian) if np.isfinite(hessian).all() else (-np.ones(zero.size), np.eye(zero.size))
        )
        slope = turned.T @ gradient
        decrement = 0.5 * float(np.sum(slope**2 / np.maximum(np.abs(curvature), 1e-12)))
        if decrement < _DECREMENT and (np.abs(np.log(np.maximum(curvature, 1e-12))) < _ALIKE).all():
            each = inner(theta)
            return Maximum(free, theta, float(np.sum(each)), axes @ (turned / np.sqrt(curvature)), ~inside, len(each))
        scaled = turned / np.sqrt(np.clip(np.abs(curvature), _SLOWEST, None))
        theta = _downhill(cost, theta, axes @ (scaled @ (scaled.T @ gradient)), low, high)
        axes = axes @ scaled
        if (np.abs(axes).max(axis=1) > _FLAT * np.maximum(1.0, np.abs(theta))).any():
            flat = [
                one.name
                for one, far in zip(free, np.abs(axes).max(axis=1) / np.maximum(1.0, np.abs(theta)), strict=True)
                if far > _FLAT
            ]
            raise FitError.of(
                (where,),
                f"did not converge: the data do not tell {', '.join(flat)}",
                remedy="fit fewer parameters, or measure more devices or states",
            )
    raise FitError.of(
        (where,), f"did not converge in {names}: {decrement:.2g} of log-likelihood were still to be gained"
    )


def _at_bound(cost: Callable[[Array], float], theta: Array, low: Array, high: Array) -> Array:
    """The parameters at a bound beyond which the cost would fall."""
    margin = 1e-6 * np.maximum(1, np.abs(theta))
    near_low, near_high = theta <= low + margin, theta >= high - margin
    if not (near_low | near_high).any():
        return np.asarray(near_low)
    gradient = _gradient_of(cost, theta, low, high)
    return np.asarray((near_low & (gradient > 0)) | (near_high & (gradient < 0)))


def _along(function: Callable[[Array], Any], theta: Array, axes: Array) -> Callable[[Array], Any]:
    """A function of the coordinates as one of steps along axes."""

    def of(steps: Array) -> Any:
        with np.errstate(all="ignore"):
            return function(theta + axes @ steps)

    return of


def _downhill(cost: Callable[[Array], float], theta: Array, step: Array, low: Array, high: Array) -> Array:
    now = cost(theta)
    for share in 0.5 ** np.arange(12):
        moved = np.clip(theta - share * step, low, high)
        if cost(moved) < now:
            return np.asarray(moved)
    return theta


def _gradient_of(cost: Callable[[Array], float], theta: Array, low: Array, high: Array) -> Array:
    gradient = np.empty_like(theta)
    for i in range(theta.size):
        h = 1e-6 * max(1.0, abs(theta[i]))
        up, down = theta.copy(), theta.copy()
        up[i], down[i] = min(theta[i] + h, high[i]), max(theta[i] - h, low[i])
        gradient[i] = (cost(up) - cost(down)) / (up[i] - down[i])
    return gradient


def _shifted(*moves: tuple[int, float], size: int) -> Array:
    moved = np.zeros(size)
    for i, by in moves:
        moved[i] += by
    return moved


_SHORT, _LONG = 1e-3, 0.05  # steps along axes on which a log-likelihood falls by a half in 1: of gradients, of Hessians


def _gradient(along: Callable[[Array], Any], zero: Array) -> Array:
    """The derivatives along axes of a number, or of those of devices: (p,) or (devices, p)."""
    p = zero.size
    columns = [
        (along(_shifted((i, _SHORT), size=p)) - along(_shifted((i, -_SHORT), size=p))) / (2 * _SHORT) for i in range(p)
    ]
    return np.stack(columns, axis=-1) if p else zero


def _hessian(along: Callable[[Array], Any], zero: Array) -> Array:
    """The second derivatives along axes of a number, or of those of devices: (p, p) or (devices, p, p)."""
    p, h = zero.size, _LONG
    middle = np.asarray(along(zero))
    rows = np.empty((p, p, *middle.shape))
    for i in range(p):
        rows[i, i] = (along(_shifted((i, h), size=p)) - 2 * middle + along(_shifted((i, -h), size=p))) / h**2
        for j in range(i):
            corners = [
                sign * np.asarray(along(_shifted((i, a * h), (j, b * h), size=p)))
                for a, b, sign in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
            ]
            rows[i, j] = rows[j, i] = sum(corners) / (4 * h * h)
    return np.moveaxis(rows, (0, 1), (-2, -1))


# ---- intervals

Method = Literal["auto", "bootstrap", "profile", "information", "sandwich"]


@np.errstate(all="ignore")
def parameters(
    likelihood: Likelihood,
    found: Maximum,
    rng: np.random.Generator,
    method: Method = "auto",
    noun: str = "devices",
) -> tuple[Parameter, ...]:
    """The parameters of a maximum with their 95 % intervals.

    "auto": bootstrap over devices where there are 30 or more, else the profile likelihood. "sandwich", for fewer
    devices of which several correlated numbers count as independent: Godambe's covariance and Student's t.
    """
    inner = in_values(likelihood, found.free)
    if method == "auto":
        method = "bootstrap" if found.devices >= FEW_DEVICES else "profile"
    ends = {"bootstrap": _bootstrap, "profile": _profile, "information": _information, "sandwich": _sandwich}[method]
    low, high, se, how = ends(inner, found, rng, noun)
    told = []
    for i, one in enumerate(found.free):
        value = float(one.outward(found.theta[i]))
        scale = value if one.log else one.size
        a, b = float(one.outward(low[i])), float(one.outward(high[i]))
        told.append(
            Parameter(
                name=one.name,
                value=value,
                unit=one.unit,
                what=one.what,
                se=abs(scale) * float(se[i]),
                low=a,
                high=b,
                interval="at a bound" if found.at_bound[i] else how,
            )
        )
    return tuple(told)


Ends = tuple[Array, Array, Array, str]


def _information(inner: Likelihood, found: Maximum, rng: np.random.Generator, noun: str) -> Ends:
    del inner, rng
    se = np.sqrt(np.diag(found.covariance))
    return found.theta - Z_95 * se, found.theta + Z_95 * se, se, f"information matrix, within these {noun}"


def _sandwich(inner: Likelihood, found: Maximum, rng: np.random.Generator, noun: str) -> Ends:
    from scipy.special import stdtrit

    del rng
    scores = _gradient(_along(inner, found.theta, found.axes), np.zeros(found.axes.shape[1]))
    n = len(scores)
    meat = found.axes @ (scores.T @ scores) @ found.axes.T * n / max(n - 1, 1)
    se = np.where(found.at_bound, np.nan, np.sqrt(np.diag(meat)))
    wide = float(stdtrit(max(n - 1, 1), 0.975))
    return found.theta - wide * se, found.theta + wide * se, se, f"sandwich over {n} {noun}"


def _profile(inner: Likelihood, found: Maximum, rng: np.random.Generator, noun: str) -> Ends:
    """Where twice the log-likelihood, the other parameters at their best, has fallen by the 95 % point of chi2."""
    del rng
    se = np.sqrt(np.diag(found.covariance))
    low, high = np.full_like(se, np.nan), np.full_like(se, np.nan)
    for i in range(se.size):
        if np.isfinite(se[i]):
            low[i] = found.theta[i] - _crossing(inner, found, i, -se[i])
            high[i] = found.theta[i] + _crossing(inner, found, i, se[i])
    return low, high, se, f"profile likelihood, within these {noun}"


def _crossing(inner: Likelihood, found: Maximum, i: int, se: float) -> float:
    """How far parameter i may go, in the direction of `se`."""
    from scipy.optimize import brentq

    # along the ridge the others follow parameter i by their covariance with it; across it, what is left of the axes
    ridge = found.axes @ found.axes[i] / se**2
    left = np.linalg.svd(found.axes[i][None])[2][1:].T
    across = found.axes @ left

    def fallen(distance: float) -> float:
        theta = found.theta + ridge * np.sign(se) * distance
        best = _best_across(inner, theta, across)
        return 2 * (found.log_likelihood - best) - CHI2_95 if np.isfinite(best) else 1e6

    far = 2 * abs(se)
    for _ in range(8):
        if fallen(far) > 0:
            return float(brentq(fallen, 0, far, xtol=1e-3 * abs(se), rtol=1e-6))
        far *= 1.6
    return float(np.inf)


def _best_across(inner: Likelihood, theta: Array, across: Array) -> float:
    """The most that the log-likelihood reaches by steps along the axes `across`."""

    def cost(steps: Array) -> float:
        with np.errstate(all="ignore"):
            total = -float(np.sum(inner(theta + across @ steps)))
        return total if np.isfinite(total) else 1e300

    at = np.zeros(across.shape[1])
    unbounded = np.full(at.size, np.inf)
    for _ in range(6):
        moved = _from(cost, at)
        gradient, hessian = _gradient(moved, np.zeros(at.size)), _hessian(moved, np.zeros(at.size))
        curvature, turned = (
            np.linalg.eigh(hessian) if np.isfinite(hessian).all() and at.size else (np.ones(at.size), np.eye(at.size))
        )
        step = turned @ ((turned.T @ gradient) / np.maximum(np.abs(curvature), 0.05))
        if 0.5 * abs(gradient @ step) < _DECREMENT:
            break
        at = _downhill(cost, at, step, -unbounded, unbounded)
    return -cost(at)


def _bootstrap(inner: Likelihood, found: Maximum, rng: np.random.Generator, noun: str) -> Ends:
    """BCa intervals (Efron 1987) of devices drawn anew with replacement.

    Each draw is fitted by steps of scoring from the best fit of all, with the information of all: three, or two of many
    devices, or one of thousands.
    """
    along, n, p = _along(inner, found.theta, found.axes), found.devices, found.axes.shape[1]
    scores = _gradient(along, np.zeros(p))
    refits = 0 if n > _REFITTED else 1 if n > _REFITTED // 4 else 2
    count = _REFITS if refits else _DRAWS
    weights = rng.multinomial(n, np.full(n, 1 / n), size=count).astype(float)
    steps = weights @ scores  # along the axes the information is 1
    for k in range(count):
        for _ in range(refits):
            again = _gradient(_weighted(_from(along, steps[k]), weights[k]), np.zeros(p))
            if not (np.isfinite(again).all() and np.abs(again).max() < np.abs(steps[k]).max()):
                break
            steps[k] += again
    drawn, influence = steps @ found.axes.T, scores @ found.axes.T
    low, high, se = (np.full(found.theta.size, np.nan) for _ in range(3))
    for i in np.flatnonzero(~found.at_bound):
        a, b = _bca(drawn[:, i], influence[:, i])
        low[i], high[i], se[i] = found.theta[i] + a, found.theta[i] + b, drawn[:, i].std(ddof=1)
    return low, high, se, f"bootstrap over {n} {noun}"


def _from(function: Callable[[Array], Any], at: Array) -> Callable[[Array], Any]:
    return lambda by: function(at + by)


def _weighted(function: Callable[[Array], Any], weights: Array) -> Callable[[Array], Any]:
    return lambda by: function(by) @ weights


def _bca(drawn: Array, influence: Array) -> tuple[float, float]:
    """The ends of the interval of a deviation from the fitted value."""
    from scipy.special import ndtr, ndtri

    skew = float(np.sum(influence**3) / (6 * np.sum(influence**2) ** 1.5))
    below = np.clip(np.mean(drawn < 0), 1 / (len(drawn) + 1), len(drawn) / (len(drawn) + 1))
    bias = float(ndtri(below))
    ends = []
    for z in (-Z_95, Z_95):
        share = ndtr(bias + (bias + z) / max(1 - skew * (bias + z), 1e-3))
        ends.append(float(np.quantile(drawn, share)))
    return ends[0], ends[1]
