"""Successive approximation on binary-weighted capacitors: what each bit weighs on a manufactured array.

Every capacitor, a terminating unit among them, samples the input; then bit after bit switches its own to V_ref, and the
charge of the floating node decides. A bit thus weighs its share of all capacitors: the ends of the range (nothing
switched, everything switched) are exact, and errors are largest in the middle.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.converters.decision import decision_kind, decision_noise_lsb, element_count, table
from imcsim.kernels.decide import SUCCESSIVE
from imcsim.specs.adc import SarADC

Array = np.ndarray[Any, Any]


@decision_kind.register
def _(adc: SarADC) -> int:
    del adc
    return SUCCESSIVE


@decision_noise_lsb.register
def _(adc: SarADC) -> float:
    return adc.comparator_noise_lsb


@element_count.register
def _(adc: SarADC, levels: int) -> int:
    del levels  # a range of one code less takes the same capacitors
    return adc.bits + (1 if adc.split_bits is None else 2)


@table.register
def _(adc: SarADC, levels: int, normals: Array) -> Array:
    """The weights of the bits in LSB, the highest first. Normals: those of the bits, terminating unit, bridge."""
    del levels
    low_bits = adc.split_bits or 0
    main_units = 2.0 ** np.arange(adc.bits - low_bits - 1, -1, -1)
    low_units = 2.0 ** np.arange(low_bits - 1, -1, -1)
    n = normals.astype(np.float64)
    main = _capacitors(adc, main_units, n[:, : main_units.size])
    low = _capacitors(adc, low_units, n[:, main_units.size : adc.bits])
    terminating = _capacitors(adc, np.ones(1), n[:, adc.bits : adc.bits + 1])
    if adc.split_bits is None:
        weights = main / (main.sum(axis=1, keepdims=True) + terminating)
    else:
        # of 2^m / (2^m - 1) units, so that the low array of 2^m units looks like one unit through it
        bridge = _capacitors(adc, np.array([2.0**low_bits / (2.0**low_bits - 1)]), n[:, adc.bits + 1 :])
        low_total = low.sum(axis=1, keepdims=True) + terminating
        # charge of the low node: sum c_i (V_y - b_i V_ref) + c_t V_y + C_B (V_y - V_x) = 0; of the main node:
        # sum C_j (V_x - b_j V_ref) + C_B (V_x - V_y) = 0. With r = C_B / (C_B + sum c_i + c_t) they give
        # V_x (sum C_j + r (sum c_i + c_t)) = V_ref (sum b_j C_j + r sum b_i c_i).
        r = bridge / (bridge + low_total)
        weights = np.concatenate([main, r * low], axis=1) / (main.sum(axis=1, keepdims=True) + r * low_total)
    return np.asarray(2.0**adc.bits * weights, dtype=np.float32)


def _capacitors(adc: SarADC, units: Array, normals: Array) -> Array:
    """Capacitors of so many units (capacitors,), in units: the spreads of their units add in squares."""
    return np.asarray(units + adc.unit_sigma_rel * np.sqrt(units) * normals)
