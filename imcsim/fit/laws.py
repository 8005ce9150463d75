"""Laws of a number about its mean: log-densities of a given mean and standard deviation, and their quantiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_LOG_2PI = float(np.log(2 * np.pi))
LEAST_DEGREES = 2.05  # below 2 Student's t has no standard deviation


@dataclass(frozen=True, kw_only=True)
class Law:
    """A law by its log-density of (value, mean, sigma, shape), `sigma` the standard deviation; its standard quantiles.

    `standard` is what (value, mean, sigma, shape) is in standard deviations, such that `quantile` is of it.
    """

    name: str
    shaped: bool  # it has a shape beside mean and standard deviation: the degrees of freedom
    density: Callable[[Array, Array, Array, float], Array]
    standard: Callable[[Array, Array, Array, float], Array]
    quantile: Callable[[Array, float], Array]
    beyond: Callable[[float, float], float]  # the share that lies more than so many standard deviations out


def _normal(value: Array, mean: Array, sigma: Array, shape: float) -> Array:
    del shape
    return np.asarray(-0.5 * ((value - mean) / sigma) ** 2 - np.log(sigma) - 0.5 * _LOG_2PI)


def _plain(value: Array, mean: Array, sigma: Array, shape: float) -> Array:
    del shape
    return np.asarray((value - mean) / sigma)


def _log_moments(mean: Array, sigma: Array) -> tuple[Array, Array]:
    # exp(mu + s z) has mean exp(mu + s^2 / 2) and relative variance exp(s^2) - 1
    s2 = np.log1p((sigma / mean) ** 2)
    return np.log(mean) - s2 / 2, np.sqrt(s2)


def _lognormal(value: Array, mean: Array, sigma: Array, shape: float) -> Array:
    del shape
    mu, s = _log_moments(mean, sigma)
    return np.asarray(-0.5 * ((np.log(value) - mu) / s) ** 2 - np.log(s * value) - 0.5 * _LOG_2PI)


def _log_standard(value: Array, mean: Array, sigma: Array, shape: float) -> Array:
    del shape
    mu, s = _log_moments(mean, sigma)
    return np.asarray((np.log(value) - mu) / s)


def _student(value: Array, mean: Array, sigma: Array, shape: float) -> Array:
    from scipy.special import gammaln

    scale = sigma * np.sqrt((shape - 2) / shape)
    constant = gammaln((shape + 1) / 2) - gammaln(shape / 2) - 0.5 * np.log(shape * np.pi)
    return np.asarray(constant - np.log(scale) - (shape + 1) / 2 * np.log1p(((value - mean) / scale) ** 2 / shape))


def _normal_quantile(share: Array, shape: float) -> Array:
    from scipy.special import ndtri

    del shape
    return np.asarray(ndtri(share))


def _student_quantile(share: Array, shape: float) -> Array:
    from scipy.special import stdtrit

    return np.asarray(stdtrit(shape, share) * np.sqrt((shape - 2) / shape))


def _normal_beyond(deviations: float, shape: float) -> float:
    from scipy.special import ndtr

    del shape
    return float(2 * ndtr(-deviations))


def _student_beyond(deviations: float, shape: float) -> float:
    from scipy.special import stdtr

    return float(2 * stdtr(shape, -deviations * np.sqrt(shape / (shape - 2))))


NORMAL = Law(
    name="normal", shaped=False, density=_normal, standard=_plain, quantile=_normal_quantile, beyond=_normal_beyond
)
LOGNORMAL = Law(
    name="lognormal",
    shaped=False,
    density=_lognormal,
    standard=_log_standard,
    quantile=_normal_quantile,
    beyond=_normal_beyond,
)
STUDENT = Law(
    name="student_t", shaped=True, density=_student, standard=_plain, quantile=_student_quantile, beyond=_student_beyond
)
LAWS = {law.name: law for law in (NORMAL, LOGNORMAL, STUDENT)}
