"""The swept paths that name no field: where a cell stands among variants, devices and ladders, and how it is tuned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VARIANT = "variant"
DEVICE = "chip.device"
LADDER = "ladder"
LEVEL = "level"  # of a ladder; at 0 the chip is as the study has it, whatever the ladder
TUNE_AT = "tune.at"

LABELS = (VARIANT, DEVICE, LADDER, LEVEL, TUNE_AT)


def of_fields(coordinates: Mapping[str, Any]) -> dict[str, Any]:
    """The swept values of a cell that are values of fields."""
    return {path: value for path, value in coordinates.items() if path not in LABELS}
