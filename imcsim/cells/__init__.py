"""The physics of a cell, a family a file: functions that dispatch on the spec's type."""

from imcsim.cells import capacitor, current, discharge, pulsed, resistive  # noqa: F401  # each registers its cell
from imcsim.cells.sram import (
    column,
    digit_variances,
    frozen_currents,
    lost_bits,
    mismatch_sigma_rel,
    off_state,
    variance_follows_current,
    variance_states,
)

__all__ = [
    "column",
    "digit_variances",
    "frozen_currents",
    "lost_bits",
    "mismatch_sigma_rel",
    "off_state",
    "variance_follows_current",
    "variance_states",
]
