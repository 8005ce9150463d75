"""Chips of pulsed devices for the tests of the crossbar and of compound arrays."""

from __future__ import annotations

import numpy as np
from crossbar_chips import chip

from imcsim.rng import child
from imcsim.specs.dac import IdealDAC
from imcsim.specs.pulsed import ConstantStepDevice, PulsedCell, UpdateSpec

STEP = 0.001
PAIR = {"subtraction": "analog", "weight_bits": 8, "cell_bits": 7}


def constant(**changes):
    """Devices from -0.6 to 0.6 in equal steps, without errors but for those told."""
    return ConstantStepDevice(**{"dw_min": STEP, "w_min": -0.6, "w_max": 0.6, **changes})


def pulsed_chip(device=None, *, update=None, dac=None, adc=None, limit=0.6, cell=(), **array):
    """A chip of pulsed devices whose w_max is the weight `limit`: of 0.6, states are weights."""
    pulsed = PulsedCell(device=device or constant(), update=update or UpdateSpec(), **dict(cell))
    scaled = {"weight_scale": "given", "weight_limit": limit, **PAIR, **array}
    return chip(cell=pulsed, dac=dac or IdealDAC(signed=True), adc=adc, **scaled)


def held(xbar):
    """The weights as an ideal read sees them: one-hot inputs."""
    eye = np.eye(xbar.die.shape[0])
    if xbar.die.members is None:
        return xbar.mvm(eye, child(0, "read"))
    return xbar.mvm(eye, [child(0, "read", k) for k in range(xbar.die.members)])
