"""Reads by products against their twin: whole codes and digits, levels of the rows; the same bits on any threads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from read_cases import ADCS, COLUMNS, Case, arrays, assert_reads, converters

from imcsim.kernels import jit, reference
from imcsim.kernels.column import Column
from imcsim.kernels.inputs import AS_IS, CODE, NEGATIVE, POSITIVE, SIGNED, Cycles
from imcsim.kernels.product import BLOCK, convert_products, round_products
from imcsim.rng import child

TILES, ROWS, SAMPLES = 2, 21, 5
CHUNKS = 2, 64  # of columns, and their width: several ones hold whole blocks of random words
COLUMNS_N = 128
INPUTS = TILES * ROWS - 5  # the last tile is not full
EXACT_LEVELS = np.zeros((0, 0, 0), np.float32)


def cycles(weights, shift, mask, part):
    return Cycles(np.array(weights, float), np.array(shift), np.array(mask), np.array(part))


# The codes that enter, and the cycles in which they do.
CODINGS = {
    "whole": (7, cycles([1], [0], [0], [AS_IS])),
    "two bits a cycle": (7, cycles([1, 4, -8], [0, 2, 3], [3, 1, 1], [CODE] * 3)),
    "two phases": (7, cycles([1, 4, -1, -4], [0, 2, 0, 2], [3, 1, 3, 1], [POSITIVE] * 2 + [NEGATIVE] * 2)),
    "sign and magnitude": (7, cycles([1, 4], [0, 2], [3, 1], [SIGNED] * 2)),
}


@dataclass(frozen=True)
class Read:
    codes: Any
    cycles: Cycles
    levels: Any
    noise_lsb: float
    states: Any
    variances: Any
    column: Column
    adc: Any
    keys: Any
    accumulate: bool = False
    pair: int = 1

    def _arrays(self):
        return (
            self.codes, self.cycles, ROWS, self.levels, self.noise_lsb, self.states, self.variances, self.column,
        )  # fmt: skip

    def general(self):
        noisy, linear = self.column.noisy, self.column.linear
        return convert_products(*self._arrays(), noisy, linear, self.adc, self.accumulate, self.pair, self.keys)

    def fused(self):
        return round_products(*self._arrays(), self.column.noisy or self.adc.noise_lsb > 0, self.adc, self.keys)

    def of_members(self, which):
        """The read of some members alone."""

        def of(values):
            return values.reshape(len(self.keys), TILES, *values.shape[1:])[which].reshape(-1, *values.shape[1:])

        adc = self.adc._replace(scale=of(self.adc.scale), shift=of(self.adc.shift), which=of(self.adc.which))
        codes = self.codes[which] if len(self.codes) > 1 else self.codes
        levels = self.levels[which] if self.levels.size else self.levels
        states, variances = of(self.states), of(self.variances)
        return replace(self, codes=codes, levels=levels, states=states, variances=variances, adc=adc,
                       keys=self.keys[which])  # fmt: skip


def chunked(values, chunks):
    """(members, tiles, rows, pair, columns) -> (members x tiles, pair x chunks, rows, width)."""
    members, tiles, rows, pair, _ = values.shape
    return np.ascontiguousarray(np.moveaxis(values.reshape(members * tiles, rows, pair * chunks[0], chunks[1]), 1, 2))


def made(
    coding="two bits a cycle", column="linear", adc="nearest", *, members=1, shared=False, pair=1, accumulate=False,
    samples=SAMPLES, dtype=np.float32, errors=False, noise_lsb=0.0, whole=False, chunks=CHUNKS,
):  # fmt: skip
    """A read in the form of the kernels, and of its twin. `errors` of the rows' levels; `whole`: cells are integers."""
    rng, columns = child(0, "products"), chunks[0] * chunks[1]
    top, driven = CODINGS[coding]
    unsigned = COLUMNS[column].droop > 0 and (driven.part[0] in (AS_IS, SIGNED))  # a bit line only discharges
    codes = rng.integers(0 if unsigned else -top, top + 1, (1 if shared else members, 600, INPUTS))[:, :samples]
    codes = codes.astype(dtype)
    shape = members, TILES, ROWS, pair, columns
    states, variances = ((1 + 0.2 * rng.normal(size=shape)) * (rng.random(shape) < 2 / 3) for _ in range(2))
    states, variances = (np.abs(np.rint(v) if whole else v).astype(dtype) for v in (states, variances))
    levels = np.cumsum(np.abs(1 + 0.1 * rng.normal(size=(members, TILES * ROWS, top + 1))), axis=2) - 0.5
    levels = levels.astype(np.float32) if errors else EXACT_LEVELS
    column, keys = arrays(COLUMNS[column], pair * columns), child(1, "keys").integers(0, 2**63, 3).astype(np.uint64)
    reach = {"lo": -60.0, "hi": 60.0} if not accumulate else {"lo": -200.0, "hi": 200.0}
    adc, keys = converters(members * TILES, columns, **ADCS[adc], **reach), keys[:members]
    x = reference.drives(codes, TILES, ROWS, driven, levels, noise_lsb, keys)
    case = Case(x, states, variances, column, adc, driven.weights, accumulate, keys)
    cells = chunked(states, chunks), chunked(variances, chunks)
    return Read(codes, driven, levels, noise_lsb, *cells, column, adc, keys, accumulate, pair), case


def scale_of(case):
    """The size of what is summed, of which float32 resolves 1e-7: values, or codes and what trimming leaves of them."""
    return 150.0 * TILES * np.abs(case.weights).sum()


@pytest.mark.parametrize("adc", ADCS)
@pytest.mark.parametrize("column", COLUMNS)
def test_a_read_by_products_gives_what_its_twin_gives(column, adc):
    read, case = made(column=column, adc=adc)
    assert_reads(read.general(), case, scale_of(case))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("column", ["both noises", "everything"])
def test_codes_enter_whole_or_digit_by_digit(column, coding, dtype):
    read, case = made(coding, column, "noisy", dtype=dtype)
    assert_reads(read.general(), case, scale_of(case))


@pytest.mark.parametrize("noise_lsb", [0.0, 0.2])
@pytest.mark.parametrize("coding", CODINGS)
def test_rows_are_driven_by_the_levels_of_their_converters_and_their_noise(coding, noise_lsb):
    read, case = made(coding, "both noises", "noisy", members=3, errors=True, noise_lsb=noise_lsb)
    assert_reads(read.general(), case, scale_of(case))
    assert_reads(read.fused(), case, scale_of(case))


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("pair", [1, 2])
@pytest.mark.parametrize("adc", ["ideal", "noisy", "trimmed"])
@pytest.mark.parametrize("column", ["linear", "both noises", "everything"])
def test_pairs_are_subtracted_and_cycles_added_up_ahead_of_the_converter(column, adc, pair, accumulate):
    read, case = made(column=column, adc=adc, pair=pair, accumulate=accumulate)
    assert_reads(read.general(), case, scale_of(case))


@pytest.mark.parametrize("shared", [True, False])
def test_every_member_reads_its_own_cells_through_its_own_converters_with_its_own_noise(shared):
    read, case = made(column="everything", adc="successive", members=3, shared=shared)
    assert len(read.codes) == (1 if shared else 3)
    assert_reads(read.general(), case, scale_of(case))


@pytest.mark.parametrize("kind", ["general", "fused"])
def test_columns_that_fit_one_chunk_may_be_of_any_number(kind):
    read, case = made(column="both noises", adc="noisy", chunks=(1, 83), members=3)
    assert_reads(getattr(read, kind)(), case, scale_of(case))


def test_the_comparison_with_the_twin_refuses_noises_that_are_five_percent_off():
    read, case = made(column="everything", adc="ideal", errors=True, noise_lsb=0.2)
    wrong = case.column._replace(cell_variance=case.column.cell_variance * 1.05**2)
    with pytest.raises(AssertionError, match="off by"):
        assert_reads(read.general(), replace(case, column=wrong), scale_of(case))
    with pytest.raises(AssertionError, match="off by"):
        assert_reads(replace(read, noise_lsb=0.21).general(), case, scale_of(case))


def test_rows_of_a_read_that_lies_beyond_the_inputs_are_not_driven():
    read, case = made("whole", adc="ideal")
    few = ROWS - 2  # the second tile has no input
    np.testing.assert_allclose(
        replace(read, codes=np.ascontiguousarray(read.codes[..., :few])).general()[0],
        case.x[0, :, 0, 0, :few] @ case.states[0, 0, :few, 0],
        rtol=1e-5, atol=1e-4,
    )  # fmt: skip


# The fused read


@pytest.mark.parametrize("adc", ["nearest", "one bit", "noisy"])
@pytest.mark.parametrize("column", ["linear", "pedestal", "cell noise", "column noise", "both noises"])
def test_the_fused_read_gives_what_the_twin_gives(column, adc):
    read, case = made(column=column, adc=adc, members=3)
    assert_reads(read.fused(), case, scale_of(case))


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("column", ["pedestal", "both noises"])
@pytest.mark.parametrize("adc", ["nearest", "noisy"])
def test_the_fused_read_has_the_bits_of_the_general_one(adc, column, coding):
    read, _ = made(coding, column, adc, members=3, samples=50)
    np.testing.assert_array_equal(read.fused(), read.general())


def test_codes_that_lie_as_they_enter_are_multiplied_there_to_the_same_codes():
    # whole cells: sums are exact in any order
    read, _ = made("whole", "both noises", "noisy", samples=2 * BLOCK + 3, whole=True)
    np.testing.assert_array_equal(read.fused(), read.general())


# Exact products


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("coding", CODINGS)
def test_without_errors_a_read_is_the_product(coding, dtype):
    read, case = made(coding, adc="ideal", dtype=dtype, samples=BLOCK + 3, whole=True)
    states = case.states.reshape(-1, COLUMNS_N)[:INPUTS]
    np.testing.assert_array_equal(read.general()[0], read.codes[0].astype(float) @ states)


# The same bits whatever runs beside


@pytest.mark.parametrize("coding", ["whole", "two bits a cycle"])
@pytest.mark.parametrize("kind", ["general", "fused"])
def test_the_bits_do_not_depend_on_the_number_of_threads(kind, coding, on_threads, monkeypatch):
    monkeypatch.setattr(jit, "_SMALL", 0)
    read, _ = made(coding, "both noises", "noisy", members=3, samples=BLOCK + 9)
    one, two = (on_threads(n, getattr(read, kind)) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("adc", ["ideal", "noisy"])
@pytest.mark.parametrize("coding", ["whole", "two bits a cycle"])
def test_a_batch_cut_at_a_block_has_the_bits_of_the_whole(coding, adc):
    read, _ = made(coding, "both noises", adc, samples=2 * BLOCK + 3)
    for samples in (BLOCK, 2 * BLOCK):
        first = replace(read, codes=np.ascontiguousarray(read.codes[:, :samples]))
        np.testing.assert_array_equal(first.general(), read.general()[:, :samples])
        if adc != "ideal":
            np.testing.assert_array_equal(first.fused(), read.fused()[:, :samples])


def test_a_read_of_several_blocks_gives_what_its_twin_gives():
    read, case = made(column="everything", adc="noisy", samples=BLOCK + 3)
    assert_reads(read.general(), case, scale_of(case))


@pytest.mark.parametrize("kind", ["general", "fused"])
@pytest.mark.parametrize("shared", [True, False])
def test_a_member_alone_has_the_bits_that_it_has_in_company(shared, kind):
    read, _ = made(column="both noises", adc="noisy", members=3, shared=shared, errors=True, noise_lsb=0.2)
    together = getattr(read, kind)()
    for member in range(3):
        alone = getattr(read.of_members([member]), kind)()
        np.testing.assert_array_equal(alone[0], together[member])
    assert (together[0] != together[1]).any()
