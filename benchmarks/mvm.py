"""Reads of a crossbar of 1152 x 256 weights, batch 1024, in tiles of 128 rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import imcsim

ROWS, COLS, BATCH = 1152, 256, 1024

# a signed weight in one pair of 7-bit cells, subtracted ahead of the ADC; inputs in one shot
_UNSLICED = {
    "array": {"weight_bits": 8, "cell_bits": 7, "subtraction": "analog"},
    "dac": {"kind": "one_shot", "bits": 8},
    "adc": {"bits": 8, "range": "full"},
}
_READ_NOISE = {**_UNSLICED, "cell": {"read_noise_rel": 0.02}}
# 8 one-bit slices x 8 bit-serial cycles; the 6-bit ADC loses information at every conversion: no shortcut applies
_LOSSY = {"array": {"mapping": "offset", "weight_bits": 8}, "dac": {"bits": 8}, "adc": {"bits": 6, "range": "full"}}
_MISMATCH = {**_LOSSY, "cell": {"mismatch_sigma_rel": 0.1}}
_NOISE = {
    **_LOSSY,
    "cell": {"mismatch_sigma_rel": 0.1, "read_noise_rel": 0.02},
    "adc": {"bits": 6, "range": "full", "noise_lsb": 0.3},
}
_LOSSLESS = {**_LOSSY, "adc": {"bits": 8, "range": "full"}}

CASES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "C1": ("8-bit weights unsliced, 8-bit DAC, 8-bit ADC a tile", _UNSLICED),
    "C2": ("C1 with fresh read noise of every cell at every read", _READ_NOISE),
    "C3": ("8 slices x 8 cycles, ideal cells, 6-bit ADC", _LOSSY),
    "C3m": ("C3 with frozen mismatch of every cell", _MISMATCH),
    "C3n": ("C3m with read noise, and ADC noise at every conversion", _NOISE),
    "lossless": ("C3 with an 8-bit ADC, which loses nothing", _LOSSLESS),
}


def product() -> Callable[[], object]:
    """The unit: the float32 product of the same shape."""
    x, weights = _operands()
    right = weights.astype(np.float32)
    return lambda: x @ right


def case_spec(name: str) -> imcsim.ChipSpec:
    """The chip that a case makes of the ideal SRAM."""
    return imcsim.overlay(imcsim.load("sram_ideal"), CASES[name][1])


def read(name: str) -> Callable[[], object]:
    """A read of all samples through the chip of a case."""
    x, weights = _operands()
    die = imcsim.manufacture(case_spec(name), weights.shape, key=1)
    crossbar = die.program(weights, imcsim.child(0, "benchmark", "program"))
    rng = imcsim.child(0, "benchmark", "read")
    return lambda: crossbar.mvm(x, rng)


def allowed_bytes() -> int:
    """Inputs, weights and outputs of a read: what it must hold whatever it does."""
    return 4 * BATCH * ROWS + 8 * ROWS * COLS + 8 * BATCH * COLS


def _operands() -> tuple[Any, Any]:
    rng = imcsim.child(0, "benchmark", "operands")
    return rng.random((BATCH, ROWS), dtype=np.float32), rng.standard_normal((ROWS, COLS))
