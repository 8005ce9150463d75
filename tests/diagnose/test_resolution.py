"""What of an update is below the resolution of a write: by its definition, and as the write path lets it through."""

import numpy as np
import pytest

from imcsim import SpecError, child
from imcsim.diagnose import lost_updates
from imcsim.network.learning_chip import learning_chip
from imcsim.network.mlp import MLP
from imcsim.network.protocols import LayerUpdate
from imcsim.specs.adc import IdealADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import OneShotDAC
from imcsim.specs.learning import WritePath
from imcsim.updates import Dense, Outer, dense


def update(delta):
    return LayerUpdate(Dense(np.asarray(delta)), np.zeros(np.shape(delta)[-1]))


def test_entries_below_half_a_step_are_lost_and_zeros_are_no_entries():
    lost = lost_updates((update([[0.49, -0.51, 0.0], [2.0, 0.1, -0.2]]),), (1.0,)).layers[0]
    assert lost.entries == 5
    assert lost.lost_entries == pytest.approx(3 / 5)
    square = np.square([0.49, 0.1, 0.2]).sum()
    assert lost.lost_square == pytest.approx(square / (square + 0.51**2 + 4))


def test_the_share_of_normal_updates_that_is_lost_is_that_of_the_normal_law():
    step, n = 1.0, 400
    delta = child(0, "update").standard_normal((n, n))
    lost = lost_updates((update(delta),), (step,)).layers[0]
    expected = 0.38292  # P(|x| < 1/2)
    assert abs(lost.lost_entries - expected) < 5 * np.sqrt(expected * (1 - expected)) / n
    # E[x^2; |x| < 1/2] = P - 2 (1/2) phi(1/2), of variance at most E[x^4; |x| < 1/2] < 1/16 of the share
    assert abs(lost.lost_square - (expected - 0.352065)) < 5 * np.sqrt(expected / 16 + 2) / n


def test_factors_are_taken_as_their_product_and_each_layer_has_its_step():
    rng = child(1, "factors")
    outer = Outer(rng.normal(size=(5, 3)), rng.normal(size=(5, 4)))
    factors, whole = LayerUpdate(outer, np.zeros(4)), update(dense(outer))
    assert lost_updates((factors, whole), (0.5, 0.5)).layers[0] == lost_updates((whole,), (0.5,)).layers[0]
    coarse, fine = lost_updates((whole, whole), (1.0, 1e-9)).layers
    assert coarse.lost_entries > fine.lost_entries == 0
    assert "smallest step" in str(lost_updates((whole,), (1.0,)))


def test_an_update_of_zeros_loses_nothing():
    assert lost_updates((update(np.zeros((2, 2))),), (1.0,)).layers[0].lost_entries == 0


@pytest.mark.parametrize("accumulator_bits", [None, 10])
def test_what_is_lost_is_what_the_write_path_does_not_write(accumulator_bits):
    spec = ChipSpec(
        cell=SramCell(),
        array=ArraySpec(rows=8, cols=8, weight_bits=6, cell_bits=5, weight_scale="max", weight_headroom=2.0),
        dac=OneShotDAC(bits=6, signed=True, out_of_range="clip"),
        adc=IdealADC(),
        write=WritePath(accumulator_bits=accumulator_bits),
    )
    rng = child(2, "network")
    mlp = MLP((rng.uniform(-1, 1, (8, 8)),), (np.zeros(8),), "tanh")
    chip = learning_chip(mlp, spec, "mse", 7, child(0, "program"))
    (step,) = chip.write_resolution
    change = update(step * rng.uniform(-2, 2, (8, 8)))
    after = chip.write((change,), child(0, "write"))

    def held(network):
        codes = network.chip.layers[0].codes + (0 if network.kept[0] is None else network.kept[0])
        return codes * network.chip.layers[0].scale[0]

    unmoved = np.isclose(held(after), held(chip), atol=1e-9 * step)
    lost = lost_updates((change,), chip.write_resolution).layers[0]
    assert lost.lost_entries == unmoved.mean()
    assert 0 < lost.lost_entries < 0.5


def test_steps_must_be_told_for_each_layer_and_be_above_zero():
    with pytest.raises(SpecError, match="must have a step for each of 1 layers"):
        lost_updates((update([[1.0]]),), (1.0, 1.0))
    with pytest.raises(SpecError, match="must be above 0"):
        lost_updates((update([[1.0]]),), (0.0,))
