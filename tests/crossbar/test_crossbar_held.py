"""Inputs that are held: each pass reads what the crossbar reads, and finds the weight that is changed for it."""

from __future__ import annotations

import numpy as np
import pytest
from crossbar_chips import DACS, MAPPINGS, chip, inputs_of, programmed, read, weights_of

from imcsim.rng import child
from imcsim.specs.adc import SarADC, UniformADC
from imcsim.specs.cells import SramCell
from imcsim.specs.dac import BitSerialDAC, IdealDAC, OneShotDAC
from imcsim.specs.library import load

ROWS, COLS, SAMPLES = 19, 5, 6  # three tiles of eight rows, two of four columns
MISMATCH = SramCell(mismatch_sigma_rel=0.1)
NOISY = SramCell(mismatch_sigma_rel=0.1, read_noise_rel=0.05)
ADC = UniformADC(bits=6, range="mse")

CHIPS = {
    **{f"{mapping}": chip(mapping=mapping, cell=MISMATCH, adc=ADC) for mapping in MAPPINGS},
    **{name: chip(dac=dac, cell=MISMATCH, adc=ADC) for name, dac in DACS.items()},
    "ideal cells, lossless": chip(adc=UniformADC(bits=10, range="full")),
    "no converters": chip(dac=IdealDAC(), cell=MISMATCH),
    "subtracted": chip(cell=MISMATCH, adc=ADC, subtraction="analog"),
    "unit column": chip(mapping="offset", offset_correction="unit_column", cell=MISMATCH, adc=ADC),
    "groups of rows": chip(cell=MISMATCH, adc=ADC, rows_parallel=3),
    "sliced": chip(cell=MISMATCH, adc=ADC, slices=(2, 1)),
    "row converters": chip(dac=OneShotDAC(bits=3, unit_sigma_rel=0.1, gain_sigma_rel=0.1), cell=MISMATCH, adc=ADC),
    "discharge": load("sram8t_65nm").replace("array.rows", 8).replace("cell.read_noise_rel", 0.0)
    .replace("cell.sigma_t_pulse_s", 0.0),
}  # fmt: skip


def setting(spec):
    weights = weights_of(min(spec.array.weight_bits, 4), (ROWS, COLS))
    x = inputs_of(spec.dac, SAMPLES, ROWS)
    return programmed(spec, weights, x), x


def close(got, want):
    """Equal, but where rounding takes a value next to a threshold to the other code."""
    apart = np.abs(got - want) / np.abs(want).max()
    return (apart < 1e-6).mean() > 0.99 and apart.max() < 0.5


@pytest.mark.parametrize("name", CHIPS)
def test_a_pass_reads_what_a_read_gives(name):
    xbar, x = setting(CHIPS[name])
    assert xbar.holds
    assert not xbar.draws
    held = xbar.hold(x).read(2, child(0, "held"))
    np.testing.assert_array_equal(held[0], held[1])
    assert close(held[0], read(xbar, x))


@pytest.mark.parametrize("name", CHIPS)
def test_a_pass_finds_the_weight_that_is_changed_for_it(name):
    xbar, x = setting(CHIPS[name])
    up = np.where(xbar.codes[0] > 0, -1.0, 1.0) * xbar.scale[0]
    rows, columns = np.array([0, ROWS - 1, 8, -1, 0, 7]), np.array([0, 4, 3, 0, 2, 1])
    changed = xbar.write(up, child(0, "write"))
    found = changed.changed_in(xbar.hold(x), rows, columns, child(0, "held"))
    for row, column, got in zip(rows, columns, found, strict=True):
        one = np.zeros((ROWS, COLS))
        if row >= 0:
            one[row, column] = up[row, column]
        assert close(got, read(xbar.write(one, child(0, "write")), x))
    moved = np.abs(found - found[3]).max(axis=(1, 2))
    assert np.flatnonzero(moved == 0).tolist() == [3]


def test_passes_may_have_inputs_of_their_own():
    xbar, x = setting(CHIPS["serial"])
    several = np.stack([x, np.roll(x, 1, axis=1), x[::-1]])
    held = xbar.hold(several).read(3, child(0, "held"))
    for got, inputs in zip(held, several, strict=True):
        assert close(got, read(xbar, inputs))
    up = np.full((ROWS, COLS), xbar.scale[0])
    rows, columns = np.array([3, 3, -1]), np.array([1, 1, 0])
    changed = xbar.write(up, child(0, "write")).changed_in(xbar.hold(several), rows, columns, child(0, "held"))
    one = np.zeros((ROWS, COLS))
    one[3, 1] = xbar.scale[0]
    for k in range(2):
        assert close(changed[k], read(xbar.write(one, child(0, "write")), several[k]))
    assert close(changed[2], held[2])


# ---- noise

NOISES = {
    "in one shot": chip(dac=OneShotDAC(bits=3), cell=NOISY, adc=ADC.replace("noise_lsb", 0.4)),
    "bit by bit": chip(cell=NOISY, adc=ADC.replace("noise_lsb", 0.4)),
    "successive approximation": chip(cell=NOISY, adc=SarADC(bits=6, range="mse", comparator_noise_lsb=0.4)),
    "dithered": chip(cell=MISMATCH, adc=UniformADC(bits=4, range="mse", rounding="stochastic")),
    "discharge": load("sram8t_65nm").replace("array.rows", 8),
}  # fmt: skip


@pytest.mark.parametrize("name", ["successive approximation", "dithered", "discharge"])
def test_one_pass_draws_the_noise_of_a_read_under_the_same_key(name):
    xbar, x = setting(NOISES[name])
    assert xbar.draws
    assert close(xbar.hold(x).read(1, child(0, "read"))[0], read(xbar, x))
    assert not close(xbar.hold(x).read(1, child(1, "read"))[0], read(xbar, x))


@pytest.mark.parametrize("name", NOISES)
def test_passes_have_mean_and_variance_of_reads(name):
    xbar, x = setting(NOISES[name])
    many, wide = 400, np.tile(x, (400, 1))
    up = np.full((ROWS, COLS), xbar.scale[0])
    changed = xbar.write(up, child(0, "write"))
    reads = changed.mvm(wide, child(0, "read")).reshape(many, SAMPLES, COLS)
    held = xbar.hold(x)
    unchanged = xbar.mvm(wide, child(1, "read")).reshape(many, SAMPLES, COLS)
    assert alike(held.read(many, child(0, "held")), unchanged)
    assert not alike(held.read(many, child(0, "held")), reads)  # another weight is seen
    for row in (0, ROWS - 1):
        one = np.zeros((ROWS, COLS))
        one[row] = up[row]
        of_row = xbar.write(one, child(0, "write"))
        expected = of_row.mvm(wide, child(2, "read")).reshape(many, SAMPLES, COLS)
        # each pass is a column's: of the column that is changed, and of the others, which are as they were
        found = np.stack(
            [of_row.changed_in(held, np.full(COLS, row), np.arange(COLS), child(k, "held")) for k in range(many)]
        )
        own = np.moveaxis(found[:, np.arange(COLS), :, np.arange(COLS)], 0, -1)
        assert alike(own, expected)
        others = found[:, (np.arange(COLS) + 1) % COLS, :, np.arange(COLS)]
        assert alike(np.moveaxis(others, 0, -1), unchanged)


def alike(one, other):
    """Whether means and variances of many passes (passes, samples, cols) agree within five sigma."""
    many = len(one)
    means, variances = (np.stack([f(v, axis=0) for v in (one, other)]) for f in (np.mean, np.var))
    # of a variance: sqrt((m4 - v^2) / n)
    fourth = np.stack([np.mean((v - v.mean(axis=0)) ** 4, axis=0) for v in (one, other)])
    of_means, of_variances = np.sqrt(variances.sum(axis=0) / many), np.sqrt((fourth - variances**2).sum(axis=0) / many)
    tiny = 1e-9 * np.abs(means).max()
    near = np.abs(means[0] - means[1]) <= 5 * of_means + tiny
    return bool(near.all() and (np.abs(variances[0] - variances[1]) <= 5 * of_variances + tiny**2).all())


def test_a_wrong_noise_is_told():
    xbar, x = setting(NOISES["bit by bit"])
    louder, _ = setting(chip(cell=NOISY, adc=ADC.replace("noise_lsb", 0.6)))
    assert not alike(louder.hold(x).read(1000, child(0, "held")), xbar.hold(x).read(1000, child(1, "held")))


def test_columns_and_passes_draw_apart_from_each_other():
    xbar, x = setting(NOISES["bit by bit"])
    found = xbar.hold(x).read(400, child(0, "held")).reshape(400, -1)
    deviation = (found - found.mean(axis=0)) / found.std(axis=0)
    for matrix in (deviation.T @ deviation / 400, (deviation[:30] @ deviation[:30].T) / deviation.shape[1]):
        off = matrix[~np.eye(len(matrix), dtype=bool)]
        assert np.abs(off).max() < 6 / np.sqrt(400 if len(matrix) != 30 else deviation.shape[1])


# ---- what cannot be held


@pytest.mark.parametrize(
    "spec",
    [
        chip(dac=OneShotDAC(bits=3, noise_lsb=0.1), cell=MISMATCH, adc=ADC),  # what drives the rows is of each pass
        chip(dac=BitSerialDAC(bits=1, signed=True), cell=MISMATCH, adc=ADC),  # a constant that follows the codes
        load("rram_cmo"),  # a write errs
    ],
)
def test_what_each_pass_or_write_draws_is_not_held(spec):
    assert not setting(spec)[0].holds
