"""Bit-serial reads against their twin, for every width, column and converter; the same bits on any threads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from read_cases import ADCS, COLUMNS, Case, arrays, assert_reads, converters

from imcsim.kernels import jit, reference
from imcsim.kernels.bitserial import _BLOCK, CHUNK, GROUP, SLAB, convert_read, round_read, table_rows
from imcsim.kernels.column import Column
from imcsim.kernels.inputs import BINARY, CODE, NEGATIVE, POSITIVE, Cycles
from imcsim.rng import child

TILES, ROWS, COLUMNS_N, SAMPLES = 2, 2 * SLAB, 2 * CHUNK, 5
USED = ROWS - 3  # of the rows of a tile
INPUTS = TILES * USED - 5  # the last tile is not full
EXACT_LEVELS = np.zeros((0, 0, 0), np.float32)


def bits(weights, part):
    """Cycles of single bits, the shift of each the place of its bit."""
    weights = np.array(weights, float)
    shift = np.log2(np.abs(weights)).astype(int)
    return Cycles(weights, shift, np.ones(shift.size, int), np.broadcast_to(part, shift.shape).astype(int))


TWOS_COMPLEMENT = bits([1, 2, -4], CODE)

# Of each width of the states: that of the variances, the units of both, and the size of an on-cell in its unit.
WIDTHS = {
    "uint8": ("uint8", 1.0, 1.0, 1),
    "uint16": ("uint8", 2.0**-8, 1.0, 256),
    "uint32": ("uint16", 2.0**-16, 2.0**-6, 65536),
    "int8": ("uint8", 1.0, 1.0, 1),
    "int16": ("uint16", 2.0**-7, 2.0**-6, 128),
    "int32": ("uint32", 2.0**-16, 2.0**-16, 65536),
}


@dataclass(frozen=True)
class Read:
    picks: Any
    states: Any
    grid: float
    variances: Any
    variance_grid: float
    column: Column
    adc: Any
    keys: Any
    accumulate: bool = False
    pair: int = 1

    def general(self):
        return convert_read(
            self.picks, self.states, self.grid, self.variances, self.variance_grid, self.column, self.column.noisy,
            self.column.linear, self.adc, TWOS_COMPLEMENT.weights, self.accumulate, self.pair, self.keys,
        )  # fmt: skip

    def fused(self):
        noisy = self.column.noisy or self.adc.noise_lsb > 0
        return round_read(
            self.picks, self.states, self.grid, self.variances, self.variance_grid, self.column, noisy, self.adc,
            TWOS_COMPLEMENT.weights, self.keys,
        )  # fmt: skip

    def of_members(self, which):
        """The read of some members alone."""

        def of(values):
            return values.reshape(len(self.keys), TILES, *values.shape[1:])[which].reshape(-1, *values.shape[1:])

        adc = self.adc._replace(scale=of(self.adc.scale), shift=of(self.adc.shift), which=of(self.adc.which))
        picks = self.picks[which] if len(self.picks) > 1 else self.picks
        states, variances = of(self.states), of(self.variances)
        return replace(self, picks=picks, states=states, variances=variances, adc=adc, keys=self.keys[which])


def cells(rng, shape, width):
    """Programmed cells: integers of `width`, a third of them off; with a sign where the width has one."""
    one = WIDTHS[width][3]
    states = np.maximum(np.rint((1 + 0.2 * rng.normal(size=shape) * (one > 1)) * one), 0)
    if width.startswith("int"):
        states *= rng.choice([-1, 1], shape)
    states *= rng.random(shape) < 2 / 3
    assert np.abs(states).sum(axis=2).max() <= np.iinfo(width).max
    return states.astype(width)


def made(
    width="uint16", column="linear", adc="nearest", *, members=1, shared=False, pair=1, accumulate=False,
    samples=SAMPLES,
):  # fmt: skip
    """A read in the form of the kernels, and of its twin."""
    rng = child(0, "bit serial")
    codes = rng.integers(-4, 4, (1 if shared else members, 400, INPUTS))[:, :samples].astype(np.float32)
    of_variances, grid, variance_grid, _ = WIDTHS[width]
    shape = members, TILES, ROWS, pair, COLUMNS_N
    states, variances = cells(rng, shape, width), np.abs(cells(rng, shape, of_variances))
    reach = {"lo": -40.0, "hi": 40.0} if pair == 2 or width.startswith("int") else {}
    reach = {"lo": -160.0, "hi": 160.0} if accumulate else reach
    column, keys = arrays(COLUMNS[column], pair * COLUMNS_N), child(1, "keys").integers(0, 2**63, 3).astype(np.uint64)
    adc, keys = converters(members * TILES, COLUMNS_N, **ADCS[adc], **reach), keys[:members]
    picks = np.stack([table_rows(c, TILES, USED, ROWS, TWOS_COMPLEMENT) for c in codes])
    flat = (members * TILES, ROWS, pair * COLUMNS_N)
    fixed = states.reshape(flat), grid, variances.reshape(flat), variance_grid
    x = reference.drives(codes, TILES, USED, TWOS_COMPLEMENT, EXACT_LEVELS, 0.0, keys)
    in_units = (states[:, :, :USED] * grid, variances[:, :, :USED] * variance_grid)
    case = Case(x, *in_units, column, adc, TWOS_COMPLEMENT.weights, accumulate, keys)
    return Read(picks, *fixed, column, adc, keys, accumulate, pair), case


def scale_of(case):
    """The size of what is summed, of which float32 resolves 1e-7: values, or codes and what trimming leaves of them."""
    return 100.0 * TILES * np.abs(case.weights).sum()


@pytest.mark.parametrize("adc", ADCS)
@pytest.mark.parametrize("column", COLUMNS)
def test_a_bit_serial_read_gives_what_its_twin_gives(column, adc):
    read, case = made(column=column, adc=adc)
    assert_reads(read.general(), case, scale_of(case))


@pytest.mark.parametrize("column", ["pedestal", "everything"])
@pytest.mark.parametrize("width", WIDTHS)
def test_integers_of_every_width_read_as_their_twin(width, column):
    read, case = made(width, column, "noisy")
    assert read.states.dtype == width
    assert_reads(read.general(), case, scale_of(case))


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
    assert len(read.picks) == (1 if shared else 3)
    assert_reads(read.general(), case, scale_of(case))


def test_the_comparison_with_the_twin_refuses_a_noise_that_is_five_percent_off():
    read, case = made(column="everything", adc="ideal")
    wrong = case.column._replace(cell_variance=case.column.cell_variance * 1.05**2)
    with pytest.raises(AssertionError, match="off by"):
        assert_reads(read.general(), replace(case, column=wrong), scale_of(case))


# The fused read

LINEAR = ["linear", "pedestal", "cell noise", "column noise", "both noises"]
ROUNDED = ["nearest", "one bit", "noisy"]


@pytest.mark.parametrize("adc", ROUNDED)
@pytest.mark.parametrize("column", LINEAR)
def test_the_fused_read_gives_what_the_twin_gives(column, adc):
    read, case = made(column=column, adc=adc, members=3)
    assert_reads(read.fused(), case, scale_of(case))


@pytest.mark.parametrize("width", WIDTHS)
def test_without_noise_the_fused_read_has_the_bits_of_the_general_one(width):
    read, _ = made(width, "pedestal", members=3)
    np.testing.assert_array_equal(read.fused(), read.general())


@pytest.mark.parametrize("width", WIDTHS)
def test_with_noise_the_fused_read_is_the_general_one_but_next_to_a_threshold(width):
    read, case = made(width, "both noises", "noisy", samples=200)
    fused, general = read.fused(), read.general()
    # the variances are scaled in another order: 1e-7 of a sigma, next to a threshold as often
    assert (fused != general).mean() < 1e-4
    assert np.abs(fused - general).max() <= np.abs(case.weights).max()


# Exact products


@pytest.mark.parametrize("width", ["uint8", "uint16", "int8", "int16"])  # whose sums float32 holds
def test_without_errors_a_read_is_the_product_of_bits_and_integers(width):
    read, case = made(width, adc="ideal")
    exact = replace(read, grid=2.0**-16)  # a power of two rounds nothing
    codes = np.einsum("mstkr,k->str", case.x, case.weights).reshape(SAMPLES, -1)
    states = read.states[:, :USED].astype(np.int64).reshape(-1, COLUMNS_N)
    np.testing.assert_array_equal(exact.general()[0], codes @ states * 2.0**-16)


# The same bits whatever runs beside


@pytest.mark.parametrize("kind", ["general", "fused"])
def test_the_bits_do_not_depend_on_the_number_of_threads(kind, on_threads, monkeypatch):
    monkeypatch.setattr(jit, "_SMALL", 0)
    read, _ = made(column="both noises", adc="noisy", members=3, samples=_BLOCK + 9)
    one, two = (on_threads(n, getattr(read, kind)) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("kind", ["general", "fused"])
@pytest.mark.parametrize("samples", [1, _BLOCK - 1, _BLOCK, _BLOCK + 1, 2 * _BLOCK])
def test_the_first_samples_read_the_same_whatever_follows(samples, kind):
    read, _ = made(column="both noises", adc="noisy", samples=2 * _BLOCK + 3)
    first = replace(read, picks=read.picks[:, :samples])
    np.testing.assert_array_equal(getattr(first, kind)(), getattr(read, kind)()[:, :samples])


def test_a_read_of_several_blocks_gives_what_its_twin_gives():
    read, case = made(column="everything", adc="noisy", samples=_BLOCK + 3)
    assert_reads(read.general(), case, scale_of(case))


@pytest.mark.parametrize("kind", ["general", "fused"])
@pytest.mark.parametrize("shared", [True, False])
def test_a_member_alone_has_the_bits_that_it_has_in_company(shared, kind):
    read, _ = made(column="both noises", adc="noisy", members=3, shared=shared)
    together = getattr(read, kind)()
    for member in range(3):
        alone = getattr(read.of_members([member]), kind)()
        np.testing.assert_array_equal(alone[0], together[member])
    assert (together[0] != together[1]).any()


# Which table rows inputs pick


@given(
    st.integers(1, 3).flatmap(
        lambda tiles: st.tuples(
            st.just(tiles),
            st.sampled_from(
                [
                    bits([1], CODE),
                    bits(2.0 ** np.arange(16), CODE),
                    bits([1, 2, 4, -8], CODE),
                    bits([1, 2, 4, -1, -2, -4], [POSITIVE] * 3 + [NEGATIVE] * 3),
                    bits([1], BINARY),
                ]
            ),
            hnp.arrays(
                np.int64, st.tuples(st.integers(0, 4), st.integers(1, 7 * tiles)), elements=st.integers(-8, 65535)
            ),
        )
    )
)
def test_a_pick_names_the_place_of_its_group_and_the_digits_of_its_inputs(case):
    tiles, cycles, codes = case
    picks = table_rows(codes.astype(np.float32), tiles, 7, 2 * SLAB, cycles)
    assert picks.shape == (len(codes), tiles, cycles.shift.size, 2 * SLAB // GROUP)
    assert (picks >> 4 == np.arange(2 * SLAB // GROUP) % (SLAB // GROUP)).all()
    unpacked = (picks[..., None] >> np.arange(GROUP) & 1).reshape(*picks.shape[:3], 2 * SLAB)
    x = reference.drives(codes[None], tiles, 7, cycles, EXACT_LEVELS, 0.0, np.zeros(1, np.uint64))[0]
    np.testing.assert_array_equal(unpacked[..., :7], x)
    assert not unpacked[..., 7:].any()
