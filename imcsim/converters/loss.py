"""Losses as a converter reads them."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.rng import Generators, drawn
from imcsim.specs.loss_adc import LossADC

Array = np.ndarray[Any, Any]


def read_loss(adc: LossADC, losses: Array, rng: Generators) -> Array:
    """Losses (..., samples) -> (..., samples), or their mean, (..., 1), where `adc` converts that.

    Of generators a member, losses are (members, samples).

    value = LSB clip(rint(L / LSB + noise), 0, 2^bits - 1); a loss that is not a number stays so, and tells.
    """
    if not adc.per_sample:
        losses = losses.mean(axis=-1, keepdims=True)
    codes = losses / adc.lsb
    if adc.noise_lsb > 0:
        shape = codes.shape if isinstance(rng, np.random.Generator) else codes.shape[1:]
        codes = codes + adc.noise_lsb * drawn(rng, lambda one: one.standard_normal(shape))
    return np.asarray(adc.lsb * np.clip(np.rint(codes), 0, 2**adc.bits - 1))
