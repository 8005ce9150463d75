"""Sound groups of every kind, from which what is broken is made."""

from __future__ import annotations

import numpy as np
import pytest

from imcsim.measurements import (
    AdcTransfer,
    Drift,
    MacTransfer,
    PowerUp,
    ProgramVerify,
    PulseResponse,
    ReadNoise,
    Spread,
)

SOUND = {
    "program_verify": ProgramVerify(
        target=np.array([1e-6, 2e-6]), conductance=np.array([1.1e-6, np.nan]), success=np.array([1, 0])
    ),
    "read_noise": ReadNoise(conductance=np.array([[1e-6, 2e-6, np.nan]]), interval=np.array(0.01)),
    "drift": Drift(conductance=np.full((2, 3), 1e-6), time=np.array([1.0, 2.0, 3.0])),
    "adc_transfer": AdcTransfer(
        input=np.arange(4.0), code=np.array([[0, 1], [1, 1], [2, 2], [3, 3]]), bits=np.array(2)
    ),
    "mac_transfer": MacTransfer(ideal_sum=np.arange(3.0), counts=np.array([[5, 0], [2, 3], [0, 5]])),
    "pulse_response": PulseResponse(conductance=np.array([[1e-6, 2e-6], [2e-6, 1e-6]]), direction=np.array([1, -1])),
    "power_up": PowerUp(power_ups=np.array(5), ones=np.array([0, 5, 3])),
    "spread": Spread(value=np.ones((2, 3, 4)), unit="Hz"),
}


@pytest.fixture(params=SOUND.values(), ids=SOUND.keys())
def group(request):
    return request.param
