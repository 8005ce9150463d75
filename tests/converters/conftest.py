"""What tests of a converter share: codes of values by the kernel, from a design and the normals of its elements."""

from __future__ import annotations

import numpy as np
import pytest

from imcsim.converters.kinds import decision_kind, decision_noise_lsb, element_count, table
from imcsim.kernels.decide import Decision, decide


@pytest.fixture
def codes_of():
    """codes_of(adc, u): the codes of values u (columns,) by converters as designed, or of `elements` (owners, ...).

    `which` (columns,) is the owner of each column, the first of all by default.
    """

    def codes(adc, u, levels=None, elements=None, which=None, key=1):
        levels = levels or 2**adc.bits
        if elements is None:
            elements = np.zeros((1, element_count(adc, levels)), np.float32)
        which = np.zeros(u.size, np.int32) if which is None else which
        rows = table(adc, levels, elements)
        assert rows.dtype == np.float32
        decision = Decision(decision_kind(adc), rows, which[None].astype(np.int32), decision_noise_lsb(adc))
        v, scratch = np.array(u, np.float64), np.empty(u.size, np.float32)
        decide(v, scratch, decision, 0, 0, levels - 1, np.uint64(key), 0, 0, 0)
        assert ((v == np.rint(v)) & (v >= 0) & (v < levels)).all()
        return v.astype(int)

    return codes


@pytest.fixture
def transitions_of(codes_of):
    """transitions_of(adc, elements): where the codes of one monotone converter change, to 2^-20 LSB."""

    def transitions(adc, elements=None, levels=None):
        levels = levels or 2**adc.bits
        wanted = np.arange(1, levels)
        low, high = np.full(levels - 1, -float(levels)), np.full(levels - 1, 2.0 * levels)
        while (high - low).max() > 2**-20:
            middle = (low + high) / 2
            reached = codes_of(adc, middle, levels, elements) >= wanted
            low, high = np.where(reached, low, middle), np.where(reached, middle, high)
        return high

    return transitions
