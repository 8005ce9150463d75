"""Every kind of converter, registered, and the functions that dispatch on it."""

from imcsim.converters import flash, measured, pipeline, ramp, sar  # noqa: F401  # each registers its kind
from imcsim.converters.decision import (
    converter_offsets,
    decision_kind,
    decision_noise_lsb,
    element_count,
    shared_by_array,
    table,
)

__all__ = ["converter_offsets", "decision_kind", "decision_noise_lsb", "element_count", "shared_by_array", "table"]
