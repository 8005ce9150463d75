"""Planted faults: what a broken column gives, and that no other column notices."""

import numpy as np
import pytest

from imcsim import CapabilityError, SpecError, child, load, manufacture, overlay
from imcsim.faults import dead_column, stuck_adc, wrong_gain
from imcsim.specs.adc import IdealADC

COLUMN = 3
RNG = child(0, "matrix")
WEIGHTS, X = RNG.normal(size=(40, 12)), RNG.uniform(0, 1, (30, 40))


def crossbar(**changes):
    told = {"array": {"weight_bits": 6, "rows": 64}, **changes}
    return manufacture(overlay(load("sram8t_65nm"), told), WEIGHTS.shape, 7).program(WEIGHTS, child(0, "write"))


SOUND = crossbar().calibrate(X)
CYCLES = 2**SOUND.die.spec.dac.bits - 1  # bits of all cycles, each worth what its bit is


def read(one):
    return one.mvm(X, child(1, "read"))


@pytest.mark.parametrize(
    "faulty",
    [stuck_adc(SOUND, COLUMN, 17), wrong_gain(SOUND, COLUMN, 0.5), dead_column(SOUND, COLUMN)],
    ids=["stuck", "gain", "dead"],
)
def test_a_fault_of_a_column_is_seen_in_its_output_alone(faulty):
    differs = (read(faulty) != read(SOUND)).any(axis=0)
    assert np.flatnonzero(differs).tolist() == [COLUMN]


def test_a_column_whose_converters_are_stuck_gives_what_their_code_stands_for():
    # pairs cancel where both are stuck at the same level; a slice of one polarity counts 2^slice a cycle
    only = stuck_adc(SOUND, COLUMN, 17, polarities=[1])
    other = stuck_adc(only, COLUMN, 40, polarities=[0])
    ranges, unit = SOUND.ranges[0], SOUND.scale[0] * SOUND.input_step[0]
    levels = [[lo + code * lsb for lo, lsb in zip(ranges.lo, ranges.lsb, strict=True)] for code in (40, 17)]
    expected = unit * CYCLES * np.dot(np.subtract(*levels), 2.0 ** np.arange(len(ranges.lo)))
    np.testing.assert_allclose(read(other)[:, COLUMN], expected, rtol=1e-5)
    assert np.ptp(read(only)[:, COLUMN]) > 0, "the other polarity still reads the inputs"


@pytest.mark.parametrize("part", [0, 4])
def test_a_code_of_a_stuck_slice_is_worth_a_step_of_its_converter_times_its_bit(part):
    low, high = (read(stuck_adc(SOUND, COLUMN, code, polarities=[0], slices=[part])) for code in (10, 11))
    worth = SOUND.ranges[0].lsb[part] * 2.0**part * CYCLES * SOUND.scale[0] * SOUND.input_step[0]
    np.testing.assert_allclose((high - low)[:, COLUMN], worth, rtol=1e-4)


def test_a_wrong_gain_multiplies_what_a_column_reads():
    chip = crossbar(cell={"read_noise_rel": 0.0}, adc={"bits": 12}).calibrate(X)
    halved, whole = read(wrong_gain(chip, COLUMN, 0.5))[:, COLUMN], read(chip)[:, COLUMN]
    assert np.abs(halved - whole / 2).max() < 0.01 * np.abs(whole).max()
    assert np.abs(halved - whole / 2.1).max() > 0.01 * np.abs(whole).max()


def test_an_open_bit_line_reads_what_a_matrix_without_its_weights_does():
    quiet = crossbar(cell={"read_noise_rel": 0.0, "mismatch_sigma_rel": 0.0, "leak_A": 0.0}).calibrate(X)
    assert np.abs(read(dead_column(quiet, COLUMN))[:, COLUMN]).max() < 0.01 * np.abs(read(quiet)[:, COLUMN]).max()


def test_what_cannot_be_broken_is_told():
    with pytest.raises(SpecError) as error:
        stuck_adc(SOUND, 12, 256, polarities=[2], slices=[5])
    assert [problem.path[0] for problem in error.value.problems] == ["code", "column", "polarities", "slices"]
    with pytest.raises(SpecError, match="gain = nan: must be a finite number"):
        wrong_gain(SOUND, COLUMN, np.nan)
    with pytest.raises(CapabilityError, match="await a calibration"):
        stuck_adc(crossbar(), COLUMN, 0)
    ideal = manufacture(SOUND.die.spec.replace("adc", IdealADC()), WEIGHTS.shape, 7)
    with pytest.raises(CapabilityError, match="an ideal converter has no codes"):
        stuck_adc(ideal.program(WEIGHTS, child(0, "write")), COLUMN, 0)
