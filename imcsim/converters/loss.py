"""Losses as a converter reads them."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.specs.loss_adc import LossADC

Array = np.ndarray[Any, Any]


def read_loss(adc: LossADC, losses: Array, rng: np.random.Generator) -> Array:
    """Losses (..., samples) -> (..., samples), or their mean, (..., 1), where `adc` converts that.

    value = LSB clip(rint(L / LSB + noise), 0, 2^bits - 1); a loss that is not a number stays so, and tells.
    """
    if not adc.per_sample:
        losses = losses.mean(axis=-1, keepdims=True)
    codes = losses / adc.lsb
    if adc.noise_lsb > 0:
        codes = codes + adc.noise_lsb * rng.standard_normal(codes.shape)
    return np.asarray(adc.lsb * np.clip(np.rint(codes), 0, 2**adc.bits - 1))
