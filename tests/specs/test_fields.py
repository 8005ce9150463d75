"""A spec is frozen, keyword-only, and valid or not born; an error names every field that is wrong."""

import dataclasses
import math
import typing
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.descent import CosineSchedule, DescentSpec, InverseTimeSchedule, StepSchedule
from imcsim.errors import Problem, SpecError
from imcsim.network.mlp import NetworkSpec
from imcsim.network.noisy import InjectionSpec
from imcsim.specs.adc import ADC, IdealADC, UniformADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCapacitorCell, SramCell, SramCurrentCell, SramDischargeCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import BitSerialDAC, OneShotDAC
from imcsim.specs.fields import Spec, fields_of, kind_of, limited
from imcsim.specs.library import load
from imcsim.specs.loss_adc import LossADC
from imcsim.training import TrainingSpec

HUGE = 10**400  # larger than any float


@dataclass(frozen=True, kw_only=True)
class Inner(Spec):
    """A component, to be held by `Sample`."""

    kind: ClassVar[str] = "inner"
    level: int = limited(1, low=0, high=9)


@dataclass(frozen=True, kw_only=True)
class Sample(Spec):
    """A spec with a field of every type that a spec can have."""

    count: int = limited(3, low=1, high=10)
    share: float = limited(0.5, low=0, high=1, unit="1")
    voltage_V: float = limited(0.0, low=-1, unit="V")
    free: float = 0.0
    switch: bool = False
    word: str = "a"
    choice: Literal["this", "that"] = "this"
    sizes: tuple[int, ...] = limited((1, 2), low=1)
    maybe: float | None = limited(None, low=0)
    inner: Inner = dataclasses.field(default_factory=Inner)

    def problems(self):
        if self.count == 7:
            yield Problem(("count",), "must not be 7", given="7")


ALL_SPECS = (
    ArraySpec,
    BitSerialDAC,
    ChipSpec,
    IdealADC,
    NetworkSpec,
    OneShotDAC,
    SramCapacitorCell,
    SramCell,
    SramCurrentCell,
    SramDischargeCell,
    TrainingSpec,
    UniformADC,
    *(CosineSchedule, DescentSpec, InjectionSpec, InverseTimeSchedule, LossADC, StepSchedule),
)


def problems_of(**values):
    with pytest.raises(SpecError) as caught:
        Sample(**values)
    return caught.value.problems


@pytest.fixture
def discharge():
    return SramDischargeCell(
        v_wl_V=0.7,
        v_t_V=0.4,
        alpha=1.8,
        k_A_per_Valpha=2e-4,
        sigma_vt_V=0.02,
        c_bl_F=3e-13,
        t_pulse_s=1e-10,
        swing_V=0.8,
    )


@pytest.fixture
def chip(discharge):
    return ChipSpec(cell=discharge)


# ---- born valid


@pytest.mark.parametrize("cls", ALL_SPECS)
def test_every_spec_is_frozen_and_takes_keywords_alone(cls):
    parameters = cls.__dataclass_params__
    assert parameters.frozen
    assert all(field.kw_only for field in dataclasses.fields(cls))


def test_a_spec_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        UniformADC(bits=6).bits = 5


def test_a_spec_takes_no_positional_argument():
    with pytest.raises(TypeError):
        UniformADC(6)


def test_specs_of_equal_values_are_equal_and_can_be_keys():
    assert Sample(share=1) == Sample(share=1.0)
    assert len({UniformADC(bits=6), UniformADC(bits=6), UniformADC(bits=7)}) == 2


@pytest.mark.parametrize(
    ("name", "given_value", "held"),
    [
        ("count", 1, 1),
        ("count", 10, 10),
        ("count", np.int64(4), 4),
        ("count", np.uint8(4), 4),
        ("share", 0, 0.0),
        ("share", 1, 1.0),
        ("share", np.float64(0.25), 0.25),
        ("share", np.float32(0.25), 0.25),
        ("share", np.int32(1), 1.0),
        ("share", Fraction(1, 4), 0.25),
        ("voltage_V", -1, -1.0),
        ("free", -1e300, -1e300),
        ("switch", True, True),
        ("word", "", ""),
        ("choice", "that", "that"),
        ("sizes", [3, 4], (3, 4)),
        ("sizes", [], ()),
        ("sizes", (np.int64(3),), (3,)),
        ("maybe", None, None),
        ("maybe", 2, 2.0),
        ("inner", Inner(level=2), Inner(level=2)),
    ],
)
def test_a_value_of_the_right_kind_is_held_in_its_canonical_type(name, given_value, held):
    value = getattr(Sample(**{name: given_value}), name)
    assert value == held
    assert type(value) is type(held)
    if isinstance(held, tuple):
        assert [type(item) for item in value] == [type(item) for item in held]


@pytest.mark.parametrize(
    ("name", "wrong", "allowed"),
    [
        ("count", 0, "must be an integer from 1 to 10"),
        ("count", 11, "must be an integer from 1 to 10"),
        ("count", 3.0, "must be an integer from 1 to 10"),
        ("count", np.float64(3), "must be an integer from 1 to 10"),
        ("count", True, "must be an integer from 1 to 10"),
        ("count", np.True_, "must be an integer from 1 to 10"),
        ("count", "3", "must be an integer from 1 to 10"),
        ("count", None, "must be an integer from 1 to 10"),
        ("count", [3], "must be an integer from 1 to 10"),
        ("share", -0.001, "must be a finite number from 0 to 1"),
        ("share", 1.001, "must be a finite number from 0 to 1"),
        ("share", math.nan, "must be a finite number from 0 to 1"),
        ("share", True, "must be a finite number from 0 to 1"),
        ("share", "0.5", "must be a finite number from 0 to 1"),
        ("share", 0.5 + 0j, "must be a finite number from 0 to 1"),
        ("share", np.array([0.5]), "must be a finite number from 0 to 1"),
        ("voltage_V", -1.5, "must be a finite number of at least -1 (V)"),
        ("voltage_V", math.inf, "must be a finite number of at least -1 (V)"),
        ("free", math.nan, "must be a finite number"),
        ("free", math.inf, "must be a finite number"),
        ("free", -math.inf, "must be a finite number"),
        ("free", np.float32("nan"), "must be a finite number"),
        ("switch", 1, "must be true or false"),
        ("switch", "true", "must be true or false"),
        ("word", 5, "must be a string"),
        ("word", b"a", "must be a string"),
        ("choice", "thus", 'must be one of "this", "that"'),
        ("choice", 0, 'must be one of "this", "that"'),
        ("choice", True, 'must be one of "this", "that"'),
        ("sizes", 3, "must be a list, each an integer of at least 1"),
        ("sizes", "12", "must be a list, each an integer of at least 1"),
        ("sizes", [1, 0], "must be a list, each an integer of at least 1"),
        ("sizes", [1, 2.0], "must be a list, each an integer of at least 1"),
        ("sizes", [1, True], "must be a list, each an integer of at least 1"),
        ("sizes", [[1]], "must be a list, each an integer of at least 1"),
        ("maybe", -1, "must be a finite number of at least 0"),
        ("maybe", "none", "must be a finite number of at least 0"),
        ("inner", None, "must be Inner"),
        ("inner", 5, "must be Inner"),
        ("inner", {"level": 2}, "must be Inner"),
    ],
)
def test_a_value_of_the_wrong_kind_or_out_of_range_is_refused_with_what_is_allowed(name, wrong, allowed):
    (problem,) = problems_of(**{name: wrong})
    assert problem.path == (name,)
    assert problem.allowed == allowed


@pytest.mark.parametrize("name", ["count", "share", "free", "sizes"])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_integer_beyond_every_float_is_out_of_range_and_not_a_crash(name, sign):
    (problem,) = problems_of(**{name: [sign * HUGE] if name == "sizes" else sign * HUGE})
    assert problem.path == (name,)


def test_the_value_that_was_given_is_named_as_a_toml_file_has_it():
    assert {problem.given for problem in problems_of(count=True)} == {"true"}
    assert {problem.given for problem in problems_of(count="6")} == {'"6"'}
    assert {problem.given for problem in problems_of(count=2.5)} == {"2.5"}
    assert {problem.given for problem in problems_of(inner=ArraySpec())} == {"ArraySpec"}


def test_all_wrong_fields_are_told_at_once():
    found = problems_of(count=0, share=math.nan, word=3, sizes=[0])
    assert [problem.path for problem in found] == [("count",), ("share",), ("word",), ("sizes",)]


def test_fields_are_checked_together_once_each_is_right_by_itself():
    (problem,) = problems_of(count=7)
    assert str(problem) == "count = 7: must not be 7"
    assert [problem.path for problem in problems_of(count=7, word=3)] == [("word",)]


@given(st.integers())
def test_exactly_the_integers_of_the_closed_range_are_bits_of_an_adc(bits):
    if 1 <= bits <= 16:
        assert UniformADC(bits=bits).bits == bits
    else:
        with pytest.raises(SpecError, match=r"bits = .*: must be an integer from 1 to 16"):
            UniformADC(bits=bits)


@given(st.floats())
def test_exactly_the_numbers_of_the_closed_range_are_a_mismatch(sigma):
    if 0 <= sigma <= 2:
        assert SramCell(mismatch_sigma_rel=sigma).mismatch_sigma_rel == sigma
    else:
        with pytest.raises(SpecError, match=r"mismatch_sigma_rel = .*: must be a finite number from 0 to 2"):
            SramCell(mismatch_sigma_rel=sigma)


@pytest.mark.parametrize("cls", ALL_SPECS)
def test_every_numeric_field_of_every_spec_refuses_what_is_not_a_number_of_its_range(cls):
    for field in fields_of(cls):
        if field.specs or field.limits.low is None:
            continue
        beyond = [field.limits.low - 1] + ([field.limits.high + 1] if field.limits.high is not None else [])
        for wrong in (*beyond, math.nan, True, "1"):
            _, problem = field.checked(wrong)
            assert problem is not None, (cls.__name__, field.name, wrong)


# ---- what a spec says of itself


def test_the_fields_of_a_spec_know_their_order_default_and_whether_they_must_be_given():
    assert [field.name for field in fields_of(Sample)] == [field.name for field in dataclasses.fields(Sample)]
    required = {field.name for field in fields_of(SramDischargeCell) if field.required}
    assert required == {"v_wl_V", "v_t_V", "alpha", "k_A_per_Valpha", "c_bl_F", "t_pulse_s"}
    optional = {field.name for field in fields_of(SramDischargeCell) if field.optional}
    mismatch, leakage = {"sigma_vt_V", "mismatch_sigma_rel"}, {"leakage_rel", "leak_A", "leak_doubling_K"}
    supply = {"v_dd_V", "v_min_mean_V", "v_min_sigma_V", "swing_V", "v_bl_min_V"}
    assert optional == mismatch | leakage | supply


def test_a_component_has_the_kind_that_files_call_it_by_and_a_lone_spec_has_none():
    assert kind_of(IdealADC) == "ideal"
    assert kind_of(ArraySpec) == ""


# ---- replace


def test_replace_changes_one_value_and_leaves_the_spec_as_it_was(chip):
    changed = chip.replace("adc.bits", 5)
    assert changed.adc.bits == 5
    assert chip.adc.bits == 8
    assert changed.replace("adc.bits", 8) == chip


def test_replace_takes_a_whole_component(chip):
    assert chip.replace("adc", IdealADC()).adc == IdealADC()
    assert chip.replace("cell", SramCell()).cell == SramCell()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("adc.bits", 40, "adc.bits = 40: must be an integer from 1 to 16"),
        ("adc.bits", True, "adc.bits = true: must be an integer from 1 to 16"),
        ("adc.bts", 6, 'adc: unknown field "bts"; did you mean "bits"?'),
        ("adcs.bits", 6, 'unknown field "adcs"; did you mean "adc"?'),
        ("adc.bits.deeper", 6, 'adc.bits: has no field "deeper"; give bits itself'),
        ("adc", 6, "adc = 6: must be " + " or ".join(cls.__name__ for cls in typing.get_args(ADC))),
        ("cell.v_t_V", 0.9, "cell.v_wl_V = 0.7: must exceed v_t_V: below it the cell does not conduct"),
        ("adc.range", "mean", 'adc.range = "mean": must be one of "mse", "output", "percentile", "full", "given"'),
    ],
)
def test_replace_checks_the_path_and_the_value(chip, path, value, message):
    with pytest.raises(SpecError) as caught:
        chip.replace(path, value)
    assert str(caught.value) == message


@pytest.mark.parametrize("path", ["", ".", "adc.", ".bits", "adc..bits"])
def test_replace_refuses_a_path_with_an_empty_part(chip, path):
    with pytest.raises(SpecError):
        chip.replace(path, 6)


def test_replace_on_a_component_of_another_kind_finds_no_such_field(chip):
    with pytest.raises(SpecError, match='unknown field "bits"'):
        chip.replace("adc", IdealADC()).replace("adc.bits", 6)


def test_a_given_mismatch_sets_the_threshold_spread_aside_and_the_other_way_round(discharge):
    given_ = discharge.replace("mismatch_sigma_rel", 0.1)
    assert (given_.mismatch_sigma_rel, given_.sigma_vt_V) == (0.1, None)
    derived = given_.replace("sigma_vt_V", 0.02)
    assert derived == discharge


def test_a_given_mismatch_sets_the_capacitor_law_aside_and_the_other_way_round():
    capacitor = SramCapacitorCell(c_unit_F=1e-15, kappa_sqrtF=2e-10, v_dd_V=0.9)
    given_ = capacitor.replace("mismatch_sigma_rel", 0.1)
    assert (given_.mismatch_sigma_rel, given_.kappa_sqrtF) == (0.1, None)
    assert given_.replace("kappa_sqrtF", 2e-10) == capacitor


def test_a_mismatch_given_from_the_chip_down_sets_the_threshold_spread_aside(chip):
    assert chip.replace("cell.mismatch_sigma_rel", 0.0).cell.sigma_vt_V is None


# ---- what several fields of a spec can get wrong together


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("v_wl_V", 0.4, "v_wl_V"),
        ("v_t_V", 0.7, "v_wl_V"),
        ("sigma_vt_V", None, "mismatch_sigma_rel"),
        ("mismatch_sigma_rel", None, "mismatch_sigma_rel"),
        ("droop_per_V", 0.76, "droop_per_V"),
        ("sigma_t_pulse_s", 1.01e-10, "sigma_t_pulse_s"),
        ("swing_V", None, "swing_V"),
        ("v_bl_min_V", 0.1, "v_dd_V"),
        ("v_dd_V", 1.0, "v_dd_V"),
        ("v_min_mean_V", 0.3, "v_min_sigma_V"),
        ("v_min_sigma_V", 0.05, "v_min_mean_V"),
        ("leak_doubling_K", 10.0, "leak_doubling_K"),
    ],
)
def test_a_discharge_cell_that_cannot_work_is_refused(discharge, path, value, where):
    with pytest.raises(SpecError) as caught:
        discharge.replace(path, value)
    assert [problem.path for problem in caught.value.problems] == [(where,)]


def test_droop_is_allowed_below_its_limit_over_the_swing(discharge):
    assert discharge.replace("droop_per_V", 0.74).droop_per_V == 0.74


def test_droop_is_allowed_at_the_limit_that_the_message_names(discharge):
    assert discharge.replace("droop_per_V", 0.75).droop_per_V * discharge.swing_V == pytest.approx(0.6)


# ---- the same cell by its supply, its temperature and its leakage


@pytest.fixture
def supplied(discharge):
    """The discharge cell whose swing of 0.8 V comes from a supply of 1 V."""
    return dataclasses.replace(discharge, swing_V=None, v_dd_V=1.0, v_bl_min_V=0.2)


def refused(spec, **changes):
    """The problems, as path and text, of the spec with fields changed and no other set aside."""
    with pytest.raises(SpecError) as caught:
        dataclasses.replace(spec, **changes)
    return [(*problem.path, str(problem)) for problem in caught.value.problems]


def test_a_swing_is_given_or_left_by_the_supply_and_one_sets_the_other_aside(supplied, discharge):
    assert supplied.full_swing == pytest.approx(0.8)
    assert supplied.replace("v_dd_V", 0.9).full_swing == pytest.approx(0.7)
    given_ = supplied.replace("swing_V", 0.8)
    assert given_ == discharge  # and with it the supply, which would decide nothing
    assert given_.full_swing == 0.8
    ((where, text),) = refused(supplied, swing_V=0.8)
    assert where == "swing_V"
    assert "give either v_bl_min_V, from which it is derived, or the value itself: both are given" in text


def test_a_given_swing_leaves_the_supply_to_decide_which_bits_are_lost(supplied):
    losing = dataclasses.replace(supplied, v_min_mean_V=0.3, v_min_sigma_V=0.05)
    given_ = losing.replace("swing_V", 0.8)
    assert (given_.v_dd_V, given_.v_bl_min_V) == (1.0, None)
    assert given_.replace("v_bl_min_V", 0.2) == losing


@pytest.mark.parametrize("v_dd_V", [0.15, 0.2, 0.2005])
def test_a_supply_must_leave_the_bit_line_a_swing(supplied, v_dd_V):
    ((where, text),) = refused(supplied, v_dd_V=v_dd_V)
    assert where == "v_bl_min_V"
    assert "must lie at least 0.001 V below v_dd_V" in text
    assert supplied.replace("v_dd_V", 0.202).full_swing > 1e-3


def test_droop_is_limited_by_the_swing_that_the_supply_leaves(supplied):
    assert supplied.replace("droop_per_V", 0.75).droop_per_V == 0.75
    ((where, text),) = refused(supplied, droop_per_V=0.76)
    assert where == "droop_per_V"
    assert "0.6 / (v_dd_V - v_bl_min_V) = 0.75 1/V" in text


def test_a_cell_must_conduct_at_its_temperature(discharge):
    # V_t = 0.4 V - 2 mV/K (T - 300 K) reaches V_WL = 0.7 V at 150 K
    cooled = discharge.replace("vt_per_K", -2e-3)
    assert cooled.replace("temperature_K", 150.1).threshold == pytest.approx(0.4 + 2e-3 * 149.9)
    ((where, text),) = refused(cooled, temperature_K=149.0)
    assert where == "v_wl_V"
    assert "must exceed v_t_V at 149 K, 0.702 V: below it the cell does not conduct" in text


def test_leakage_is_an_absolute_current_or_a_relative_one(discharge):
    absolute = dataclasses.replace(discharge, leak_A=1e-9, leak_doubling_K=10.0)
    relative = absolute.replace("leakage_rel", 1e-4)
    assert (relative.leakage_rel, relative.leak_A, relative.leak_doubling_K) == (1e-4, None, None)
    again = relative.replace("leak_A", 1e-9).replace("leak_doubling_K", 10.0)
    assert again == absolute
    ((where, text),) = refused(absolute, leakage_rel=1e-4)
    assert where == "leakage_rel"
    assert "both are given" in text


@pytest.mark.parametrize("cell", [load("sram8t_is_65nm").cell, load("sram8t_65nm").cell, load("sram_cap_28nm").cell])
def test_v_min_needs_its_mean_its_spread_and_a_supply(cell):
    assert [where for where, _ in refused(cell, v_min_mean_V=None)] == ["v_min_mean_V"]
    assert [where for where, _ in refused(cell, v_min_sigma_V=None)] == ["v_min_sigma_V"]
    assert "v_dd_V" in [where for where, _ in refused(cell, v_dd_V=None)]


def test_a_supply_that_would_change_nothing_is_refused():
    ((where, text),) = refused(load("sram8t_is_65nm").cell, v_min_mean_V=None, v_min_sigma_V=None)
    assert where == "v_dd_V"
    assert "would change nothing" in text


def test_a_current_cell_has_its_mismatch_derived_or_given_and_must_conduct():
    cell = load("sram8t_is_65nm").cell
    assert cell.replace("mismatch_sigma_rel", 0.1).sigma_vt_V is None
    assert [where for where, _ in refused(cell, sigma_vt_V=None)] == ["mismatch_sigma_rel"]
    assert [where for where, _ in refused(cell, v_wl_V=0.4)] == ["v_wl_V"]
    with pytest.raises(SpecError, match=r"dac\.signed = true"):
        ChipSpec(cell=cell, dac=OneShotDAC(signed=True))


def test_a_cell_with_both_its_mismatch_and_what_it_is_derived_from_is_refused(discharge):
    values = {field.name: getattr(discharge, field.name) for field in dataclasses.fields(discharge)}
    with pytest.raises(SpecError, match="give either sigma_vt_V, from which it is derived, or the value itself"):
        SramDischargeCell(**{**values, "mismatch_sigma_rel": 0.1})
    with pytest.raises(SpecError, match="give either kappa_sqrtF, from which it is derived, or the value itself"):
        SramCapacitorCell(c_unit_F=1e-15, kappa_sqrtF=2e-10, mismatch_sigma_rel=0.1, v_dd_V=0.9)
    with pytest.raises(SpecError, match="neither"):
        SramCapacitorCell(c_unit_F=1e-15, v_dd_V=0.9)


def test_a_given_range_needs_both_its_ends_in_order_and_no_other_range_has_them():
    assert UniformADC(range="given", lo=-4, hi=4).hi == 4.0
    for wrong, where in (
        ({"range": "given"}, ["lo", "hi"]),
        ({"range": "given", "lo": 0}, ["hi"]),
        ({"range": "given", "lo": 4, "hi": 4}, ["hi"]),
        ({"range": "mse", "lo": 0}, ["lo"]),
        ({"range": "full", "lo": 0, "hi": 4}, ["lo", "hi"]),
    ):
        with pytest.raises(SpecError) as caught:
            UniformADC(**wrong)
        assert [problem.path[0] for problem in caught.value.problems] == where


def test_a_bit_line_that_only_discharges_takes_no_signed_inputs_in_one_shot(discharge):
    with pytest.raises(SpecError, match=r"dac\.signed = true: a bit line only discharges"):
        ChipSpec(cell=discharge, dac=OneShotDAC(signed=True))
    assert ChipSpec(cell=discharge, dac=BitSerialDAC(signed=True)).dac.signed
    assert ChipSpec(cell=SramCell(), dac=OneShotDAC(signed=True)).dac.signed
