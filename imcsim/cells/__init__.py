"""The physics of a cell, a family a file: functions that dispatch on the spec's type."""

from imcsim.cells.sram import column, frozen_currents, mismatch_sigma_rel, variance_states

__all__ = ["column", "frozen_currents", "mismatch_sigma_rel", "variance_states"]
