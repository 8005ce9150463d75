"""Reads of a crossbar of 1152 x 256 weights, batch 1024, in tiles of 128 rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import imcsim
from imcsim.specs.codec import overlaid

ROWS, COLS, BATCH = 1152, 256, 1024

# 8 one-bit slices x 8 bit-serial cycles; the 6-bit ADC loses information at every conversion: no shortcut applies
_LOSSY = {"array": {"mapping": "offset", "weight_bits": 8}, "dac": {"bits": 8}, "adc": {"bits": 6, "range": "full"}}
_MISMATCH = {**_LOSSY, "cell": {"mismatch_sigma_rel": 0.1}}
_NOISE = {
    **_LOSSY,
    "cell": {"mismatch_sigma_rel": 0.1, "read_noise_rel": 0.02},
    "adc": {"bits": 6, "range": "full", "noise_lsb": 0.3},
}

CASES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "C3": ("8 slices x 8 cycles, ideal cells, 6-bit ADC", _LOSSY),
    "C3m": ("C3 with frozen mismatch of every cell", _MISMATCH),
    "C3n": ("C3m with read noise, and ADC noise at every conversion", _NOISE),
}


def product() -> Callable[[], object]:
    """The unit: the float32 product of the same shape."""
    x, weights = _operands()
    left, right = x.astype(np.float32), weights.astype(np.float32)
    return lambda: left @ right


def read(changes: Mapping[str, Any]) -> Callable[[], object]:
    """A read of all samples through the chip that `changes` make of the ideal SRAM."""
    problems: list[Any] = []
    spec = overlaid(imcsim.load("sram_ideal"), changes, (), problems)
    if spec is None:
        raise imcsim.SpecError(problems)
    x, weights = _operands()
    crossbar = imcsim.manufacture(spec, weights.shape, key=1).program(weights, imcsim.child(0, "benchmark", "program"))
    return lambda: crossbar.mvm(x, imcsim.child(0, "benchmark", "read"))


def _operands() -> tuple[Any, Any]:
    rng = imcsim.child(0, "benchmark", "operands")
    return rng.random((BATCH, ROWS)), rng.standard_normal((ROWS, COLS))
