"""Ensembles: dies that are read in one call; of each the bits that it has alone."""

from __future__ import annotations

import numpy as np
import pytest
from crossbar_chips import DACS, MAPPINGS, chip, inputs_of, weights_of

from imcsim.errors import SpecError
from imcsim.manufacturing import manufacture
from imcsim.rng import child
from imcsim.specs.adc import FlashADC, IdealADC, UniformADC
from imcsim.specs.cells import SramCell
from imcsim.specs.dac import OneShotDAC
from imcsim.specs.library import load

KEYS = [3, 2**64 - 1, 5]
SHAPE = 19, 6
NOISY = UniformADC(bits=6, noise_lsb=0.5, offset_sigma_lsb=0.5, gain_sigma_rel=0.01)
SPECS = {
    "ideal": chip(),
    "ideal, one shot": chip(dac=OneShotDAC(bits=3, signed=True)),
    **{
        f"{mapping}, {dac}": chip(
            cell=SramCell(mismatch_sigma_rel=0.2, read_noise_rel=0.1), adc=NOISY, mapping=mapping, dac=DACS[dac]
        )
        for mapping, dac in zip(MAPPINGS * 2, DACS, strict=True)
    },
    "rows with errors": chip(
        cell=SramCell(mismatch_sigma_rel=0.2), rows_parallel=3, dac=OneShotDAC(bits=3, gain_sigma_rel=0.1, noise_lsb=1)
    ),
    "unit columns": chip(
        cell=SramCell(mismatch_sigma_rel=0.2, on_off_ratio=10.0),
        mapping="offset",
        offset_correction="unit_column",
        adc=NOISY,
    ),
    "bit lines, subtracted": chip(cell=load("sram8t_65nm").cell, adc=NOISY, subtraction="analog"),
    "lost bits": chip(cell=load("sram_cap_28nm").cell.replace("v_dd_V", 0.25), adc=NOISY),
    "flash": chip(adc=FlashADC(bits=4, comparator_sigma_lsb=0.5)),
    "no converters": chip(cell=SramCell(mismatch_sigma_rel=0.2, read_noise_rel=0.1), adc=IdealADC()),
}
EVERY_SPEC = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def readers():
    return [child(0, "read", member) for member in range(len(KEYS))]


def alone(spec, member):
    return manufacture(spec, SHAPE, KEYS[member])


@EVERY_SPEC
def test_members_that_share_weights_and_inputs_read_as_they_do_alone(spec):
    weights, x = weights_of(4, SHAPE), inputs_of(spec.dac, 40, SHAPE[0])
    together = manufacture(spec, SHAPE, KEYS).program(weights, child(0, "write")).calibrate(x)
    y = together.mvm(x, readers())
    for member, rng in enumerate(readers()):
        one = alone(spec, member).program(weights, child(0, "write")).calibrate(x)
        np.testing.assert_array_equal(y[member], one.mvm(x, rng))


@EVERY_SPEC
def test_members_with_weights_and_inputs_of_their_own_read_as_they_do_alone(spec):
    weights = np.stack([weights_of(4, SHAPE, seed) for seed in range(3)]) * np.array([1.0, 0.3, 7.0])[:, None, None]
    x = np.stack([inputs_of(spec.dac, 40, SHAPE[0], seed) for seed in range(3)]) * np.array([1, 2, 0.3])[:, None, None]
    delta = np.stack([child(1, "delta", k).normal(0, 3, SHAPE) for k in range(3)])
    die = manufacture(spec, SHAPE, KEYS)
    together = die.program(weights, child(0, "write")).calibrate(x).write(delta, child(0, "write"))
    y = together.mvm(x, readers())
    assert together.written.shape == (3, *SHAPE)
    for member, rng in enumerate(readers()):
        one = alone(spec, member).program(weights[member], child(0, "write")).calibrate(x[member])
        one = one.write(delta[member], child(0, "write"))
        np.testing.assert_array_equal(together.written[member], one.written)
        np.testing.assert_array_equal(y[member], one.mvm(x[member], rng))


@EVERY_SPEC
def test_members_written_apart_read_as_they_do_alone(spec):
    weights, x = weights_of(4, SHAPE), inputs_of(spec.dac, 40, SHAPE[0])
    own = np.stack([x, x[::-1], np.roll(x, 7, axis=1)])
    delta = np.stack([child(1, "delta", k).normal(0, 3, SHAPE) for k in range(3)])
    together = manufacture(spec, SHAPE, KEYS).program(weights, child(0, "write")).calibrate(x)
    together = together.write(delta, child(0, "write"))
    shared_inputs, own_inputs = together.mvm(x, readers()), together.mvm(own, readers())
    for member in range(3):
        one = alone(spec, member).program(weights, child(0, "write")).calibrate(x).write(delta[member], child(0, "w"))
        np.testing.assert_array_equal(shared_inputs[member], one.mvm(x, readers()[member]))
        np.testing.assert_array_equal(own_inputs[member], one.mvm(own[member], readers()[member]))


def test_shared_weights_read_inputs_of_each_members_own():
    spec = SPECS["no converters"]
    weights, x = weights_of(4, SHAPE), inputs_of(spec.dac, 40, SHAPE[0])
    own = np.stack([x, x[::-1], np.roll(x, 7, axis=1)])
    together = manufacture(spec, SHAPE, KEYS).program(weights, child(0, "write")).calibrate(x)
    y = together.mvm(own, readers())
    for member in range(3):
        one = alone(spec, member).program(weights, child(0, "write")).calibrate(x)
        np.testing.assert_array_equal(y[member], one.mvm(own[member], readers()[member]))


def test_shared_weights_are_calibrated_once_on_all_inputs():
    spec = chip(adc=UniformADC(bits=3))
    weights, x = weights_of(4, SHAPE), inputs_of(spec.dac, 30, SHAPE[0]).reshape(3, 10, -1)
    together = manufacture(spec, SHAPE, KEYS).program(weights, child(0, "write")).calibrate(x)
    one = alone(spec, 0).program(weights, child(0, "write")).calibrate(x.reshape(30, -1))
    assert together.ranges == one.ranges
    np.testing.assert_array_equal(together.input_step, one.input_step)


def test_members_with_weights_of_their_own_have_ranges_and_scales_of_their_own():
    spec = chip(adc=UniformADC(bits=3), weight_scale="mse")
    weights = np.stack([weights_of(4, SHAPE), 0.1 * weights_of(4, SHAPE, 1), np.ones(SHAPE)])
    x = inputs_of(spec.dac, 30, SHAPE[0])
    together = manufacture(spec, SHAPE, KEYS).program(weights, child(0, "write")).calibrate(x)
    assert len(together.ranges) == len(together.scale) == 3
    for member in range(3):
        one = alone(spec, member).program(weights[member], child(0, "write")).calibrate(x)
        assert (together.ranges[member], together.scale[member]) == (one.ranges[0], one.scale[0])


def test_a_crossbar_moves_to_an_ensemble_with_all_that_was_calibrated():
    spec = SPECS["flash"]
    weights, x = weights_of(4, SHAPE), inputs_of(spec.dac, 40, SHAPE[0])
    single = alone(spec, 0).program(weights, child(0, "write")).calibrate(x)
    y = single.on_die(manufacture(spec, SHAPE, KEYS)).mvm(x, readers())
    np.testing.assert_array_equal(y[0], single.mvm(x, readers()[0]))
    assert (y[1] != y[0]).any()


def test_an_ensemble_of_one_reads_as_the_die_alone():
    spec = SPECS["flash"]
    weights, x = weights_of(4, SHAPE), inputs_of(spec.dac, 40, SHAPE[0])
    many = manufacture(spec, SHAPE, [3]).program(weights, child(0, "write")).calibrate(x)
    single = manufacture(spec, SHAPE, 3).program(weights, child(0, "write")).calibrate(x)
    np.testing.assert_array_equal(many.mvm(x, [child(0, "read")])[0], single.mvm(x, child(0, "read")))


def test_an_ensemble_refuses_what_does_not_fit_its_members():
    die = manufacture(chip(), (4, 2), KEYS)
    xbar, rng = die.program(np.ones((4, 2)), child(0, "write")), child(0, "read")
    with pytest.raises(SpecError, match="rng = one: an ensemble of 3 reads with a generator a member"):
        xbar.mvm(np.ones((5, 4)), rng)
    with pytest.raises(SpecError, match="rng = 2: an ensemble of 3 reads with a generator a member"):
        xbar.mvm(np.ones((5, 4)), [rng, rng])
    for shape in ((4,), (2, 5, 4), (3, 1, 5, 4)):
        with pytest.raises(SpecError, match=r"an ensemble takes \(samples, 4\) or \(3, samples, 4\)"):
            xbar.mvm(np.ones(shape), readers())
    with pytest.raises(SpecError, match=r"x = shape \(5, 3\): must have 4 inputs on its last axis"):
        xbar.mvm(np.ones((5, 3)), readers())
    for shape in ((2, 4, 2), (4, 3)):
        with pytest.raises(SpecError, match=r"must have shape \(4, 2\) or \(3, 4, 2\)"):
            die.program(np.ones(shape), rng)
        with pytest.raises(SpecError, match=r"must have shape \(4, 2\) or \(3, 4, 2\)"):
            xbar.write(np.ones(shape), rng)
    with pytest.raises(SpecError, match=r"rng = list: must be one numpy\.random\.Generator"):
        manufacture(chip(), (4, 2), 1).program(np.ones((4, 2)), rng).mvm(np.ones(4), [rng])
    with pytest.raises(SpecError, match="an ensemble needs at least one key"):
        manufacture(chip(), (4, 2), [])
    apart = die.program(np.ones((3, 4, 2)), rng)
    with pytest.raises(SpecError, match="must be an ensemble of 3"):
        apart.on_die(manufacture(chip(), (4, 2), 1))


def test_the_bits_of_an_ensemble_do_not_depend_on_the_threads(on_threads):
    spec = SPECS["differential, serial"]
    weights, x = weights_of(4, SHAPE), inputs_of(spec.dac, 300, SHAPE[0])
    together = manufacture(spec, SHAPE, KEYS).program(weights, child(0, "write")).calibrate(x)
    one, two = (on_threads(threads, lambda: together.mvm(x, readers())) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)
