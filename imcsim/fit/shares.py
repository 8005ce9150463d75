"""Shares of devices, with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.fit.result import FEW_DEVICES, Parameter

Array = NDArray[Any]

_DRAWS = 999


def share(name: str, what: str, hit: Array, device: Array, rng: np.random.Generator) -> Parameter:
    """The share of `hit`: Clopper and Pearson's interval where devices are hit once, else over devices drawn anew."""
    from scipy.special import betaincinv

    n, k = hit.size, int(np.sum(hit))
    numbers = np.unique(device, return_inverse=True)[1]
    devices = int(numbers.max()) + 1
    value = k / n
    if devices == n or devices < FEW_DEVICES:
        low = float(betaincinv(k, n - k + 1, 0.025)) if k else 0.0
        high = float(betaincinv(k + 1, n - k, 0.975)) if k < n else 1.0
        how = "exact binomial" if devices == n else "exact binomial, within these devices"
        return Parameter(
            name=name,
            value=value,
            unit="1",
            what=what,
            low=low,
            high=high,
            interval=how,
            se=float(np.sqrt(value * (1 - value) / n)),
        )
    hits, counts = np.bincount(numbers, hit), np.bincount(numbers)
    draws = np.empty(_DRAWS)
    for i in range(_DRAWS):
        weights = rng.multinomial(devices, np.full(devices, 1 / devices))
        draws[i] = weights @ hits / (weights @ counts)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Parameter(
        name=name,
        value=value,
        unit="1",
        what=what,
        low=float(low),
        high=float(high),
        interval=f"bootstrap over {devices} devices",
        se=float(draws.std(ddof=1)),
    )
