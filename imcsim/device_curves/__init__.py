"""What a device does, as tables of curves for its figure: a family of cells a file, which registers with `tables`."""

from imcsim.device_curves import pulsed, resistive, sram  # noqa: F401  # each registers its cells
from imcsim.device_curves.tables import Curve, Panel, Tables, tables

__all__ = ["Curve", "Panel", "Tables", "tables"]
