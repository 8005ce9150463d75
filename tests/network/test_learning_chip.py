"""A chip that learns: reads as ChipNetwork gives them, updates through its write path, counts in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from imcsim.errors import CapabilityError, SpecError
from imcsim.network.learning_chip import learning_chip
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.network.protocols import LayerUpdate
from imcsim.rng import child
from imcsim.specs.dac import OneShotDAC
from imcsim.specs.library import load
from imcsim.specs.transpose import TransposeRead
from imcsim.updates import Dense

IDEAL = load("sram_ideal").replace("dac", OneShotDAC(bits=8, out_of_range="clip"))
X = child(0, "samples").uniform(size=(30, 12))
Y = child(0, "labels").integers(0, 4, 30)


def chip(spec=IDEAL, hidden=(9,)):
    start = initial_mlp(NetworkSpec(hidden=hidden, activation="tanh"), 12, 4, child(0, "weights"))
    return learning_chip(start, spec, "cross_entropy", 7, child(0, "program")).calibrated(X, Y, child(0, "calibrate"))


def test_what_is_written_is_what_was_there_and_the_update_in_whole_codes():
    network = chip()
    steps = tuple(3 * step for step in network.write_resolution)
    updates = tuple(
        LayerUpdate(Dense(np.full(s, step)), np.ones(s[1])) for s, step in zip(network.shapes, steps, strict=True)
    )
    after = network.write(updates, child(0, "write"))
    for before, now, step in zip(network.written, after.written, network.write_resolution, strict=True):
        np.testing.assert_allclose(now, np.clip(before + 3 * step, -127 * step, 127 * step), rtol=1e-12)
    assert after.counts().word_writes == sum(
        int((b != n).sum()) for b, n in zip(network.written, after.written, strict=True)
    )


def test_what_the_design_lacks_is_told():
    network = chip()
    with pytest.raises(CapabilityError, match="no transposed read"):
        network.backward(1, Y, child(0, "back"))
    with pytest.raises(CapabilityError, match="no converters for arrays of feedback"):
        network.auxiliary("feedback 1", np.ones((4, 9)), child(0, "auxiliary"))
    with pytest.raises(SpecError, match=r'dac.out_of_range = "error": inputs outgrow'):
        chip(IDEAL.replace("dac.out_of_range", "error"))


def test_a_feedback_array_reads_the_matrix_that_it_was_given():
    back = TransposeRead(dac=OneShotDAC(bits=8, signed=True))
    network = chip(IDEAL.replace("feedback", back))
    matrix, errors = child(0, "matrix").normal(size=(4, 9)), child(0, "errors").normal(size=(50, 4))
    read = network.auxiliary("feedback 1", matrix, child(0, "auxiliary")).mvm(errors, child(0, "read"))
    exact = errors @ matrix
    assert np.abs(read - exact).max() < 0.05 * np.abs(exact).max()
