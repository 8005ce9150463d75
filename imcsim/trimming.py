"""Trimming: the gain and offset of every ADC, measured as a chip does."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.errors import CapabilityError, SpecError
from imcsim.kernels.trim import mean_codes
from imcsim.programmed import Programmed

Array = np.ndarray[Any, Any]
_LEAST_GAIN = 0.1  # of a converter that can be trimmed


def fitted_lines(programmed: Programmed, keys: Array, levels: int, reads: int) -> Array:
    """Gain and offset of the converters, as none were trimmed: (2, members, tiles, columns).

    `levels` known values, from 5 to 95 % of the range, are put on each converter, each converted `reads` times; a line
    is fitted to the mean codes of every column. Raises SpecError for fewer than 2 levels or 1 read, CapabilityError for
    ideal converters.
    """
    if levels < 2 or reads < 1:
        raise SpecError.of("levels", "a line needs at least 2 levels and 1 read", given=f"{levels}, {reads} reads")
    adc = programmed.converters._replace(trim=np.zeros((0, 0, 0), np.float32))
    if adc.max_code == 0:
        raise CapabilityError.of("adc", "ideal converters have nothing to trim")
    known = np.linspace(0.05, 0.95, levels) * adc.max_code
    codes = mean_codes(known, programmed.of_columns("lo"), programmed.of_columns("lsb"), reads, adc, keys)
    centred = known - known.mean()
    gain = np.einsum("l,ltc->tc", centred, codes) / np.square(centred).sum()
    offset = codes.mean(axis=0) - gain * known.mean()
    still = gain < _LEAST_GAIN  # its codes do not follow the values: there is nothing to take off
    gain[still], offset[still] = 1.0, 0.0
    fitted = np.stack([gain, offset]).reshape(2, len(keys), -1, codes.shape[-1])
    return fitted[:, :, :: programmed.silicon.plan.tiling.groups]
