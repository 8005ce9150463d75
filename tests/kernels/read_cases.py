"""What tests of reads share: columns and converters in the form of the kernels, and the comparison with the twin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imcsim.kernels import reference
from imcsim.kernels.column import Column, Converters
from imcsim.kernels.decide import COUNT, NEAREST, STOCHASTIC, SUCCESSIVE
from imcsim.rng import child

NEAR = 1e-3  # LSB from a threshold: there float32 and float64 may round to different codes
BITS = 5

# Columns in MAC units; "everything" has every number of a column at once.
COLUMNS = {
    "linear": Column(),
    "pedestal": Column(pedestal=1.37),
    "swing": Column(swing=43.719, low=-37.42),
    "load": Column(load=0.011),
    "droop": Column(droop=0.006, swing=90.0),
    "cell noise": Column(cell_variance=0.013),
    "column noise": Column(variance=0.23),
    "both noises": Column(pedestal=1.37, cell_variance=0.013, variance=0.23),
    "everything": Column(
        pedestal=0.31, droop=0.006, swing=79.13, cell_variance=0.013, variance=0.23, load=0.003, low=-43.7
    ),
}


def arrays(column, columns):
    """A column as kernels have it: an array (columns,) of each number, a little different from column to column."""
    spread = 1 + 0.1 * child(0, "spread").random(columns)
    return Column(
        **{
            name: value if name == "cell_variance" else (value * spread).astype(np.float32)
            for name, value in column._asdict().items()
        }
    )


def converters(tiles, columns, *, bits=BITS, errors=0.3, noise_lsb=0.0, kind=NEAREST, trimmed=False, lo=-20.0, hi=60.0):
    """Converters of a range, gain and offset of their own, in the form of the kernels; 0 bits: ideal."""
    rng = child(0, "converters")
    gain, offset = 1 + 0.1 * errors * rng.normal(size=(tiles, columns)), errors * rng.normal(size=(tiles, columns))
    max_code = 2**bits - 1
    lsb = (hi - lo) / max(max_code, 1)
    scale, shift = (gain / lsb, offset - lo / lsb) if bits else (np.ones_like(gain), np.zeros_like(gain))
    which = rng.integers(0, 3, (tiles, columns)).astype(np.int32)
    table, decision_noise = np.zeros((3, 0)), 0.0
    if kind == SUCCESSIVE:
        table, decision_noise = 2.0 ** np.arange(bits - 1, -1, -1) * rng.normal(1, 0.03, (3, bits)), 0.4
    elif kind == COUNT:
        table = np.sort(np.arange(max_code) + 0.5 + rng.normal(0, 0.3, (3, max_code)), axis=1)
    trim = np.stack([gain, offset]) if trimmed else np.zeros((0, 0, 0))
    return Converters(
        max_code, scale.astype(np.float32), shift.astype(np.float32), noise_lsb, trim.astype(np.float32), kind,
        table.astype(np.float32), which, decision_noise,
    )  # fmt: skip


ADCS = {
    "ideal": {"bits": 0},
    "nearest": {},
    "one bit": {"bits": 1},
    "noisy": {"noise_lsb": 0.7},
    "trimmed": {"trimmed": True},
    "stochastic": {"kind": STOCHASTIC},
    "successive": {"kind": SUCCESSIVE, "noise_lsb": 0.7},
    "thresholds": {"kind": COUNT},
}


@dataclass(frozen=True)
class Case:
    """A read in the form of its twin: see reference.conversions."""

    x: Any
    states: Any
    variances: Any
    column: Column
    adc: Converters
    weights: Any
    accumulate: bool
    keys: Any

    def operands(self):
        return self.__dict__.values()

    def bounds(self):
        """What a kernel may give, (members, samples, columns): where a value is near a threshold, either code."""
        low, high = [], []
        for near in (-NEAR, 0.0, NEAR):
            adc = self.adc._replace(shift=self.adc.shift.astype(float) + (near if self.adc.max_code else 0.0))
            codes = reference.conversions(*replace(self, adc=adc).operands())
            low, high = [*low, codes], [*high, codes]
        weights = np.ones(1) if self.accumulate else self.weights
        low, high = np.min(low, axis=0), np.max(high, axis=0)
        least, most = (
            np.where(weights[:, None] > 0, one, other) * weights[:, None] for one, other in ((low, high), (high, low))
        )
        return least.sum(axis=(2, 3)), most.sum(axis=(2, 3))


def assert_reads(got, case, scale):
    """Assert that a read (members, samples, columns) is that of its twin, up to `scale` times float32 resolution."""
    assert got.shape == (len(case.keys), case.x.shape[1], case.states.shape[-1])
    low, high = case.bounds()
    twin = reference.read(*case.operands())
    assert ((low - 1e-9 * scale <= twin) & (twin <= high + 1e-9 * scale)).all()
    assert (high - low < 1e-6 * scale).mean() > 0.9, "too many values near a threshold: the comparison says little"
    off = np.maximum(low - got, got - high).max()
    assert off <= 4e-6 * scale, f"off by {off:.3g}, where {4e-6 * scale:.3g} is float32's"
