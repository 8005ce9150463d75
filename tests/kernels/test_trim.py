"""Mean codes of known values, against the twin, and what they tell of gain and offset."""

from __future__ import annotations

import numpy as np
import pytest
from read_cases import ADCS, NEAR, converters

from imcsim.kernels import jit, reference
from imcsim.kernels.trim import mean_codes
from imcsim.rng import child

COLUMNS_N, TILES = 70, 2  # a chunk of columns and a part of one
KEYS = child(0, "trim").integers(0, 2**63, 3).astype(np.uint64)
KNOWN = np.array([2.3, 11.1, 20.7, 28.2])


def ranges(members):
    rng = child(1, "trim")
    return rng.uniform(-25, -15, (members, COLUMNS_N)), rng.uniform(2, 3, (members, COLUMNS_N))


@pytest.mark.parametrize("adc", [name for name in ADCS if name != "ideal"])
@pytest.mark.parametrize(("members", "of_ranges"), [(1, 1), (3, 1), (3, 3)])
def test_mean_codes_are_those_of_the_twin(members, of_ranges, adc):
    of, reads = converters(members * TILES, COLUMNS_N, **ADCS[adc]), 5
    args = KNOWN, *ranges(of_ranges), reads
    got = mean_codes(*args, of, KEYS[:members])
    near = [
        reference.mean_codes(*args, of._replace(shift=of.shift.astype(float) + shift), KEYS[:members])
        for shift in (-NEAR, 0, NEAR)
    ]
    low, high = np.min(near, axis=0), np.max(near, axis=0)
    assert got.shape == (KNOWN.size, members * TILES, COLUMNS_N)
    assert (low == high).mean() > 0.9
    assert ((low - 1e-5 <= got) & (got <= high + 1e-5)).all()


def test_the_mean_of_many_noisy_codes_is_the_line_of_gain_and_offset():
    of, reads = converters(1, COLUMNS_N, bits=8, noise_lsb=1.5, lo=-100.0, hi=100.0), 400
    lo, lsb = np.full((1, COLUMNS_N), -100.0), np.full((1, COLUMNS_N), 200.0 / 255)
    known = np.array([40.0, 128.0, 200.0])
    line = (lo + known[:, None] * lsb) * of.scale[0] + of.shift[0]
    sigma = np.sqrt((1.5**2 + 1 / 12) / reads)  # noise of more than an LSB makes rounding uniform noise
    off = (mean_codes(known, lo, lsb, reads, of, KEYS[:1])[:, 0] - line) / sigma
    assert np.abs(off).max() < 5
    assert np.abs((off * sigma + 0.05 * line) / sigma).max() > 5


def test_mean_codes_do_not_depend_on_the_number_of_threads_nor_on_the_company(on_threads, monkeypatch):
    monkeypatch.setattr(jit, "_SMALL", 0)
    of = converters(3 * TILES, COLUMNS_N, noise_lsb=0.7)
    together = mean_codes(KNOWN, *ranges(3), 5, of, KEYS)
    lo, lsb = (values[1:2] for values in ranges(3))
    part = slice(TILES, 2 * TILES)
    own = of._replace(scale=of.scale[part], shift=of.shift[part], which=of.which[part])
    np.testing.assert_array_equal(mean_codes(KNOWN, lo, lsb, 5, own, KEYS[1:2]), together[:, part])
    one, two = (on_threads(n, lambda: mean_codes(KNOWN, *ranges(3), 5, of, KEYS)) for n in (1, 2))
    np.testing.assert_array_equal(one, two)
