"""Measurements of devices, converters and macros: an HDF5 layout, checked, read and written; others are mapped."""

from imcsim.measurements.files import Measurements, read, write
from imcsim.measurements.groups import (
    GROUPS,
    AdcTransfer,
    Drift,
    Group,
    MacTransfer,
    PowerUp,
    ProgramVerify,
    PulseResponse,
    ReadNoise,
    Spread,
)
from imcsim.measurements.mapping import read_mapped

__all__ = [
    "GROUPS",
    "AdcTransfer",
    "Drift",
    "Group",
    "MacTransfer",
    "Measurements",
    "PowerUp",
    "ProgramVerify",
    "PulseResponse",
    "ReadNoise",
    "Spread",
    "read",
    "read_mapped",
    "write",
]
