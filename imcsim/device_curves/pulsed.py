"""Tables of pulsed devices: the weight over pulses up, then down, and the step of a pulse over the weight."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from imcsim.cells.pulsed import manufactured, write_counts
from imcsim.device_curves.tables import SPREAD, Array, Curve, Panel, Tables, spread, tables
from imcsim.kernels.pulse_reference import steps
from imcsim.kernels.pulsed_devices import Devices
from imcsim.rng import child
from imcsim.specs.array import ArraySpec
from imcsim.specs.pulsed import Pulsed, PulsedCell

DEVICES = 400
RANGES = 1.5  # how far pulses of nominal size would move a device, each way
MOST_PULSES = 20_000  # each way
READS = 60  # each way


@tables.register
def _(device: Pulsed, array: ArraySpec) -> Tables:
    del array  # a response is a device's own
    devices = _drawn(device)
    return Tables((response(device, devices), step_size(device, devices)), tuple(_notes(device)))


@tables.register
def _(cell: PulsedCell, array: ArraySpec) -> Tables:
    return tables(cell.device, array)


def response(device: Pulsed, devices: Devices) -> Panel:
    """The weight over pulses up from the lower bound, then as many down: all devices, and one of them."""
    pulses = min(math.ceil(RANGES * (device.w_max - device.w_min) / device.dw_min), MOST_PULSES)
    at = np.unique(np.linspace(0, pulses, READS + 1).round().astype(np.int64))
    counts = np.concatenate([np.diff(at), -np.diff(at)])
    keys = child(0, "device", "pulses").integers(0, 2**64, len(counts), dtype=np.uint64)
    states = [np.asarray(devices.low, np.float32)]
    for count, key in zip(counts, keys, strict=True):
        each = np.full(states[-1].shape, count)
        states.append(write_counts(devices, states[-1], each, np.array([key])).states)
    weights = np.array(states, np.float64)[:, 0, 0]
    x = np.concatenate([at, pulses + at[1:]]).astype(np.float64)
    curves = (spread(f"{DEVICES} devices", x, weights), Curve("one device", x, weights[:, 0]))
    return Panel(
        f"Pulse response: {SPREAD}",
        f"pulses: {pulses} up, then {pulses} down",
        "weight (unit of the model)",
        curves,
    )


def step_size(device: Pulsed, devices: Devices) -> Panel:
    """How far a pulse without noise moves a device, over its weight: bands of devices, in units of dw_min."""
    w = np.linspace(device.w_min, device.w_max, 61)
    # no device is beyond its own bounds
    weights = np.clip(w[:, None, None, None], devices.low, devices.high)
    curves = tuple(
        spread(label, w, np.array([steps(devices, one, rising) for one in weights])[:, 0, 0] / device.dw_min)
        for label, rising in (("a pulse up", True), ("a pulse down, its size", False))
    )
    return Panel(f"Step: {SPREAD} of devices", "weight (unit of the model)", "step (dw_min)", curves)


def _notes(device: Pulsed) -> list[str]:
    notes = [f"dw_min is {device.dw_min:.3g}."]
    if not device.cycle_sigma_rel:
        notes.append("Pulses of a device are alike.")
    return notes


def _drawn(device: Pulsed) -> Devices:
    """So many devices of a die, (1, 1, devices)."""

    @cache
    def normals(source: int) -> Array:
        return child(0, "device", "manufacture", source).standard_normal((1, 1, DEVICES))

    return manufactured(device, normals)
