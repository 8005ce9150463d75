"""Specs as TOML: the text of a spec reads back as the spec, and a table that is none is refused with every problem."""

import math
import tomllib
import typing
from typing import Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from imcsim.descent import CosineSchedule, InverseTimeSchedule, StepSchedule
from imcsim.errors import SpecError
from imcsim.network.mlp import NetworkSpec
from imcsim.network.noisy import InjectionSpec
from imcsim.rules.library import RULES
from imcsim.rules.pruning import PruningSpec
from imcsim.specs.adc import IdealADC, UniformADC
from imcsim.specs.array import MOST_ROWS, ArraySpec
from imcsim.specs.cells import (
    AnySramCell,
    SramCapacitorCell,
    SramCell,
    SramCurrentCell,
    SramDischargeCell,
    TransistorCell,
)
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import (
    MAX_BYTES,
    InlineTable,
    build,
    format_toml,
    format_value,
    overlaid,
    parse_toml,
    read_toml,
    to_table,
)
from imcsim.specs.dac import BitSerialDAC, IdealDAC, OneShotDAC
from imcsim.specs.decorrelation import DigitalDecorrelation
from imcsim.specs.fields import fields_of
from imcsim.specs.learning import AnalogNeurons, WritePath
from imcsim.specs.library import device_names, load
from imcsim.specs.loss_adc import LossADC
from imcsim.specs.transpose import TransposeRead
from imcsim.training import TrainingSpec, known_options

# ---- strategies: every field of a spec, over all that its type and limits allow


def values_of(field):
    """Any value that `field` takes by itself."""
    kind = next(member for member in typing.get_args(field.type) or (field.type,) if member is not type(None))
    if typing.get_origin(field.type) in (Literal, tuple):
        kind = field.type
    low, high = field.limits.low, field.limits.high
    if typing.get_origin(kind) is Literal:
        values = st.sampled_from(typing.get_args(kind))
    elif typing.get_origin(kind) is tuple:
        values = st.lists(st.integers(low, 10**6), max_size=4).map(tuple)
    elif kind is bool:
        values = st.booleans()
    elif kind is int:
        values = st.integers(low, high)
    elif kind is float:
        values = st.floats(low, high, allow_nan=False, allow_infinity=False)
    else:
        values = st.text()
    return st.none() | values if field.optional else values


def specs(cls, **made):
    """Any valid spec of `cls`; `made` (name -> strategy) for the fields that must agree with others."""
    plain = {field.name: values_of(field) for field in fields_of(cls) if field.name not in made}
    return st.fixed_dictionaries({**plain, **made}).flatmap(lambda values: _born(cls, values))


def _born(cls, values):
    try:
        return st.just(cls(**values))
    except SpecError:
        return st.nothing()


def put_or_derived(draw, values, given, derived):
    """Leave one of two fields, the other None: each drawn where neither was."""
    keep, drop = (derived, given) if draw(st.booleans()) else (given, derived)
    values[keep.name] = draw(values_of(keep).filter(lambda value: value is not None))
    values[drop.name] = None


def stored_bits(draw, cls):
    """Values of every field of a cell that has a supply: V_min whole or absent."""
    fields = {field.name: field for field in fields_of(cls)}
    values = {name: draw(values_of(field)) for name, field in fields.items()}
    loses = draw(st.booleans())
    values["v_min_mean_V"] = draw(st.floats(0, 5)) if loses else None
    values["v_min_sigma_V"] = draw(st.floats(0, 1)) if loses else None
    values["v_dd_V"] = draw(st.floats(0.5, 5)) if loses or cls is SramCapacitorCell else None
    return fields, values


def transistor(draw, cls):
    """Values of every field of a cell with a read transistor that conducts."""
    fields, values = stored_bits(draw, cls)
    put_or_derived(draw, values, fields["mismatch_sigma_rel"], fields["sigma_vt_V"])
    if draw(st.booleans()):
        values["leakage_rel"] = None
    else:
        values["leak_A"] = None
    if values["leak_A"] is None:
        values["leak_doubling_K"] = None
    values["v_t_V"] = draw(st.floats(0, 2))
    threshold_V = values["v_t_V"] + values["vt_per_K"] * (values["temperature_K"] - 300)
    assume(threshold_V < 4.9)
    values["v_wl_V"] = draw(st.floats(max(0.05, threshold_V + 1e-9), 5))
    return fields, values


@st.composite
def discharge_cells(draw):
    fields, values = transistor(draw, SramDischargeCell)
    put_or_derived(draw, values, fields["swing_V"], fields["v_bl_min_V"])
    if values["v_bl_min_V"] is not None:
        values["v_dd_V"] = draw(st.floats(0.5, 5))
        values["v_bl_min_V"] = draw(st.floats(0, values["v_dd_V"] - 0.01))
    swing_V = values["swing_V"] or values["v_dd_V"] - values["v_bl_min_V"]
    values["droop_per_V"] = draw(st.floats(0, min(5, 0.59 / swing_V)))
    values["sigma_t_pulse_s"] = draw(st.floats(0, values["t_pulse_s"]))
    return SramDischargeCell(**values)


@st.composite
def current_cells(draw):
    return SramCurrentCell(**transistor(draw, SramCurrentCell)[1])


@st.composite
def capacitor_cells(draw):
    fields, values = stored_bits(draw, SramCapacitorCell)
    put_or_derived(draw, values, fields["mismatch_sigma_rel"], fields["kappa_sqrtF"])
    return SramCapacitorCell(**values)


@st.composite
def uniform_adcs(draw):
    values = {field.name: draw(values_of(field)) for field in fields_of(UniformADC)}
    lo = draw(st.floats(-1e9, 1e8))
    ends = (lo, draw(st.floats(math.nextafter(lo, 2e9), 1e9))) if values["range"] == "given" else (None, None)
    percentile = draw(st.floats(50, 100)) if values["range"] == "percentile" else None
    return UniformADC(**{**values, "lo": ends[0], "hi": ends[1], "percentile": percentile})


@st.composite
def quantising_dacs(draw, cls):
    values = {field.name: draw(values_of(field)) for field in fields_of(cls)}
    if values["out_of_range"] == "error":
        values["input_scale"] = "max"
    driven = values["bits"]
    if cls is BitSerialDAC:
        driven = values["slice_bits"] = draw(st.integers(1, values["bits"]))
        values["encoding"] = values["encoding"] if values["signed"] else "twos_complement"
    if driven > 12:
        values |= dict.fromkeys(("unit_sigma_rel", "gain_sigma_rel", "noise_lsb"), 0.0)
    return cls(**values)


@st.composite
def array_specs(draw):
    values = {field.name: draw(values_of(field)) for field in fields_of(ArraySpec)}
    differential, bits = values["mapping"].startswith("differential"), values["weight_bits"]
    values["slices"] = None
    if draw(st.booleans()):  # some cut of the stored bits, none beyond a cell
        sign = values["mapping"] == "twos_complement" and bits > 1
        left, slices = max(bits - 1, 1) if differential else bits - sign, ()
        while left:
            slices += (draw(st.integers(1, min(left, values["cell_bits"]))),)
            left -= slices[-1]
        values["slices"] = (*slices, 1) if sign else slices
    scale = values["weight_scale"]
    values["weight_percentile"] = draw(st.floats(50, 100)) if scale == "percentile" else None
    values["weight_limit"] = draw(st.floats(1e-12, 1e12)) if scale == "given" else None
    values["weight_headroom"] = 1.0 if scale == "given" else values["weight_headroom"]
    values["rows_parallel"] = draw(st.none() | st.integers(1, values["rows"]))
    values["subtraction"] = values["subtraction"] if differential else "digital"
    has_offset = values["mapping"] == "offset" and bits > 1
    values["offset_correction"] = values["offset_correction"] if has_offset else "digital"
    return ArraySpec(**values)


SCHEDULES = st.none() | specs(StepSchedule) | specs(CosineSchedule) | specs(InverseTimeSchedule)


@st.composite
def training_specs(draw):
    made = {"schedule": SCHEDULES, "rule": st.none(), "rule_options": st.none()}
    values = {field.name: draw(made.get(field.name, values_of(field))) for field in fields_of(TrainingSpec)}
    if values["where"] != "chip":  # float weights have no resolution to round to, and no ranges
        values |= {"rounding": None, "calibrate_every_epochs": None}
    values["rule"] = draw(st.sampled_from(["backprop", "hardware_aware"] if values["where"] == "digital" else [*RULES]))
    options = known_options(values["rule"])
    pruning = {"pruning": specs(PruningSpec)} if "pruning" in {field.name for field in fields_of(options)} else {}
    values["rule_options"] = draw(st.none() | specs(options, **pruning))
    values["learning_rate"] = draw(st.floats(0, 10, exclude_min=True))
    values["clip_norm"] = draw(st.none() | st.floats(0, 1e9, exclude_min=True))
    with_momentum = values["optimizer"] == "momentum"
    values["momentum"] = draw(st.none() | st.floats(0, 1, exclude_max=True)) if with_momentum else None
    return TrainingSpec(**values)


LOSS_ADCS = specs(LossADC, bits=st.integers(1, 24), full_scale=st.floats(0, 1e6, exclude_min=True))
NEURONS = st.none() | specs(AnalogNeurons)
CELLS = st.one_of(specs(SramCell), discharge_cells(), current_cells(), capacitor_cells())
DACS = st.one_of(quantising_dacs(BitSerialDAC), quantising_dacs(OneShotDAC), specs(IdealDAC))
ADCS = st.one_of(specs(IdealADC), uniform_adcs())


def _driving_one_way(dac):
    if isinstance(dac, BitSerialDAC):
        return dac.replace("encoding", "two_phase") if dac.encoding == "sign_magnitude" else dac
    return dac.replace("signed", False)


@st.composite
def chips(draw):
    cell, dac = draw(CELLS), draw(DACS)
    if isinstance(cell, TransistorCell):
        dac = _driving_one_way(dac)
    array, read = draw(array_specs()), None
    if not isinstance(cell, SramCapacitorCell) and draw(st.booleans()):
        array = array.replace("cols", min(array.cols, MOST_ROWS))
        one_way = isinstance(cell, TransistorCell)
        errors = _driving_one_way(draw(quantising_dacs(BitSerialDAC))) if one_way else draw(DACS)
        errors = errors.replace("signed", True)
        step = "each_read" if getattr(errors, "input_scale", "max") == "max" else "calibrated"
        sigma = draw(st.floats(0, 2)) if isinstance(cell, AnySramCell) else 0.0
        read = TransposeRead(dac=errors, adc=draw(ADCS), input_step=step, mismatch_sigma_rel=sigma)
    learning = {"feedback": read, "neurons": draw(NEURONS), "loss_adc": draw(st.none() | LOSS_ADCS)}
    learning["decorrelation"] = DigitalDecorrelation() if dac.signed and draw(st.booleans()) else None
    write = draw(specs(WritePath, accumulator_bits=st.none() | st.integers(array.weight_bits + 1, 48)))
    return ChipSpec(cell=cell, array=array, dac=dac, adc=draw(ADCS), transpose=read, write=write, **learning)


ANY_SPEC = st.one_of(
    *(CELLS, DACS, ADCS, array_specs(), specs(NetworkSpec), training_specs(), chips()),
    *(specs(InjectionSpec), LOSS_ADCS),
)


def built(cls, table, path=()):
    problems = []
    return build(cls, table, path, problems), [str(problem) for problem in problems]


def laid_over(spec, changes):
    problems = []
    return overlaid(spec, changes, ("chip",), problems), [str(problem) for problem in problems]


# ---- there and back


@given(ANY_SPEC)
def test_the_text_of_a_spec_reads_back_as_the_same_spec(spec):
    text = format_toml(to_table(spec))
    assert built(type(spec), parse_toml(text)) == (spec, [])


@given(ANY_SPEC)
def test_writing_what_was_read_gives_the_same_text(spec):
    text = format_toml(to_table(spec))
    again, _ = built(type(spec), parse_toml(text))
    assert format_toml(to_table(again)) == text


@pytest.mark.parametrize("name", device_names())
def test_the_chip_of_every_device_model_reads_back_as_the_same_chip(name):
    chip = load(name)
    assert built(ChipSpec, parse_toml(format_toml(to_table(chip)))) == (chip, [])


def test_a_field_without_a_value_is_left_out_of_the_text():
    assert to_table(UniformADC()).keys() == {
        "kind",
        "bits",
        "range",
        "slice_ranges",
        "columns_per_adc",
        "rounding",
        "offset_sigma_lsb",
        "gain_sigma_rel",
        "noise_lsb",
    }


KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=8)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from("\n\t"))
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_nested_table_reads_back_from_its_text(table):
    assert tomllib.loads(format_toml(table)) == table


@given(VALUES)
def test_any_value_reads_back_from_its_text(value):
    assert tomllib.loads(f"x = {format_value(value)}")["x"] == value


@pytest.mark.parametrize("character", ["\r", "\x00", "\x1b", "\x7f"])
def test_a_text_with_a_control_character_reads_back_from_its_text(character):
    assert tomllib.loads(f"x = {format_value(character)}")["x"] == character


def test_numbers_are_written_shortest_and_exact():
    assert format_value(0.1) == "0.1"
    assert format_value(2.3e-12) == "2.3e-12"
    assert format_value(1 / 3) == "0.3333333333333333"
    assert format_value([True, 2, "a"]) == '[true, 2, "a"]'


def test_a_table_meant_for_one_line_is_written_in_one():
    text = format_toml({"cell": {"v_t_V": InlineTable(value=0.4, unit="V")}})
    assert text == '[cell]\nv_t_V = {value = 0.4, unit = "V"}\n'


def test_a_key_that_is_no_bare_word_is_quoted():
    assert format_toml({"grid": {"chip.adc.bits": [3]}}) == '[grid]\n"chip.adc.bits" = [3]\n'


# ---- what is no spec


def test_an_unknown_key_is_answered_with_the_nearest_known_one():
    assert built(ArraySpec, {"weight_bit": 4}, ("chip", "array")) == (
        None,
        ['chip.array.weight_bit: unknown key "weight_bit"; did you mean "weight_bits"?'],
    )


def test_every_problem_of_a_table_is_told_at_once_with_its_key_path():
    table = {
        "cell": {"kind": "sram", "read_noise_rel": -1},
        "array": {"rows": True, "colls": 5},
        "dac": {"kind": "bit_serail"},
        "adc": {"bits": 40, "noise_lsb": math.nan},
        "paint": "blue",
    }
    spec, problems = built(ChipSpec, table, ("chip",))
    assert spec is None
    assert problems == [
        "chip.cell.read_noise_rel = -1: must be a finite number from 0 to 2",
        "chip.array.rows = true: must be an integer from 1 to 1024",
        'chip.array.colls: unknown key "colls"; did you mean "cols"?',
        'chip.dac.kind = "bit_serail": must be one of "bit_serial", "one_shot", "ideal"; did you mean "bit_serial"?',
        "chip.adc.bits = 40: must be an integer from 1 to 16",
        "chip.adc.noise_lsb = nan: must be a finite number from 0 to 1000 (LSB)",
        (
            'chip.paint: unknown key "paint"; known: cell, array, dac, adc, wires, transpose, '
            "write, compound, feedback, decorrelation, neurons, loss_adc"
        ),
    ]


def test_a_missing_value_that_must_be_given_says_what_it_takes():
    assert built(NetworkSpec, {}) == (None, ["hidden: is missing; must be a list, each an integer from 1 to 100000"])
    assert built(ChipSpec, {}) == (None, ["cell: is missing; must be a table"])


@pytest.mark.parametrize("wrong", [5, "ideal", [1], True])
def test_a_component_that_is_no_table_is_refused(wrong):
    spec, problems = built(ChipSpec, {"cell": {"kind": "sram"}, "adc": wrong})
    assert spec is None
    assert problems == [f"adc = {format_value(wrong)}: must be a table"]


@pytest.mark.parametrize("wrong", [5, True, ["ideal"], {"a": 1}])
def test_a_kind_that_is_no_text_is_refused(wrong):
    spec, (problem,) = built(ChipSpec, {"cell": {"kind": "sram"}, "adc": {"kind": wrong}})
    assert spec is None
    assert problem.startswith("adc.kind = ")
    assert 'must be one of "ideal", "uniform"' in problem


def test_a_cell_must_say_its_kind():
    spec, (problem,) = built(ChipSpec, {"cell": {"mismatch_sigma_rel": 0.1}})
    assert spec is None
    assert 'must be one of "sram", "sram_discharge", "sram_current", "sram_capacitor"' in problem


def test_a_cell_without_a_kind_is_told_that_it_is_missing():
    _, (problem,) = built(ChipSpec, {"cell": {"mismatch_sigma_rel": 0.1}})
    assert "None" not in problem


def test_converters_are_uniform_and_bit_serial_unless_they_say_otherwise():
    spec, _ = built(ChipSpec, {"cell": {"kind": "sram"}, "dac": {"bits": 4}, "adc": {"bits": 5}})
    assert spec.dac == BitSerialDAC(bits=4)
    assert spec.adc == UniformADC(bits=5)


def test_a_field_that_is_called_kind_is_checked_as_any_other():
    spec, problems = built(NetworkSpec, {"kind": "cnn", "hidden": [4]})
    assert spec is None
    assert problems == ['kind = "cnn": must be one of "mlp"']


# ---- a table laid over a spec

BASE = ChipSpec(cell=SramCell(mismatch_sigma_rel=0.1), adc=UniformADC(bits=6, noise_lsb=0.5))


def test_a_table_of_the_same_kind_changes_the_fields_it_names_and_no_other():
    spec, problems = laid_over(BASE, {"adc": {"bits": 4}})
    assert problems == []
    assert spec == BASE.replace("adc.bits", 4)
    assert laid_over(BASE, {"adc": {"kind": "uniform", "bits": 4}})[0] == spec


def test_a_table_of_another_kind_replaces_the_component():
    spec, problems = laid_over(BASE, {"adc": {"kind": "ideal"}})
    assert problems == []
    assert spec == BASE.replace("adc", IdealADC())


def test_an_adc_is_uniform_unless_its_table_says_otherwise_whatever_it_was():
    spec, problems = laid_over(BASE.replace("adc", IdealADC()), {"adc": {"bits": 4}})
    assert problems == []
    assert spec.adc == UniformADC(bits=4)


def test_a_cell_stays_of_its_kind_unless_its_table_says_otherwise():
    spec, problems = laid_over(load("sram8t_65nm"), {"cell": {"v_wl_V": 0.8}})
    assert problems == []
    assert spec == load("sram8t_65nm").replace("cell.v_wl_V", 0.8)


def test_a_mismatch_laid_over_a_derived_one_sets_the_derivation_aside():
    spec, problems = laid_over(load("sram8t_65nm"), {"cell": {"mismatch_sigma_rel": 0.3}})
    assert problems == []
    assert (spec.cell.mismatch_sigma_rel, spec.cell.sigma_vt_V) == (0.3, None)


def test_a_table_with_a_mismatch_and_what_it_is_derived_from_is_refused():
    spec, (problem,) = laid_over(load("sram8t_65nm"), {"cell": {"mismatch_sigma_rel": 0.3, "sigma_vt_V": 0.02}})
    assert spec is None
    assert "give either sigma_vt_V, from which it is derived, or the value itself" in problem


def test_nothing_laid_over_a_spec_leaves_it_as_it_is():
    assert laid_over(BASE, {}) == (BASE, [])
    assert laid_over(BASE, {"adc": {}}) == (BASE, [])


def test_problems_of_every_component_are_told_at_once():
    spec, problems = laid_over(BASE, {"adc": {"bits": 0}, "dac": {"bits": 0}, "array": {"rows": 0}})
    assert spec is None
    assert [problem.split(" =")[0] for problem in problems] == ["chip.adc.bits", "chip.dac.bits", "chip.array.rows"]


def test_an_unknown_key_beside_a_broken_component_is_told_too():
    _, problems = laid_over(BASE, {"adc": {"bits": 0}, "colour": "blue"})
    assert len(problems) == 2


# ---- files


def test_a_file_reads_as_its_table(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes('[a]\r\nb = "ö"\r\n'.encode())
    assert read_toml(path) == {"a": {"b": "ö"}}


def failure(path):
    with pytest.raises(SpecError) as caught:
        read_toml(path)
    (problem,) = caught.value.problems
    assert problem.source == str(path)
    return problem.allowed


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    assert failure(tmp_path / "none.toml") == "no such file"
    assert failure(tmp_path).startswith("cannot be read: ")
    assert failure(tmp_path / ("x" * 300)).startswith("cannot be read: ")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert failure(tmp_path / "loop").startswith("cannot be read: ")


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    failure(tmp_path / "a\0b.toml")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a = ", "not valid TOML: "),
        (b"a = 1\na = 2", "not valid TOML: "),
        (b"[a\n", "not valid TOML: "),
        (b"a = 1 b = 2", "not valid TOML: "),
        (b"\x89HDF\r\n\x1a\n", "is not UTF-8 text"),
        (b"a = '\xff'", "is not UTF-8 text"),
        ("a = 1".encode("utf-16"), "is not UTF-8 text"),
        (b"a = 1\x00", "not valid TOML: "),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "not valid TOML: nested too deeply"),
        (b"a = " + b"{a=" * 5000 + b"1" + b"}" * 5000, "not valid TOML: nested too deeply"),
        (b"a" + b".a" * 5000 + b" = 1", "a key of more than 32 parts"),
        (b"[a" + b".a" * 5000 + b"]", "a key of more than 32 parts"),
        (b"#" * (MAX_BYTES + 1), f"is larger than {MAX_BYTES} bytes"),
    ],
)
def test_a_file_that_is_no_toml_is_refused(tmp_path, content, why):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    assert failure(path).startswith(why)


@pytest.mark.parametrize("line", ["x = {a" + ".a" * 2000 + " = 1}", '"=" . a' + ".a" * 2000 + " = 1"])
def test_a_key_of_thousands_of_parts_is_refused_wherever_it_stands(line):
    with pytest.raises(SpecError, match="parts"):
        parse_toml(line)


def test_an_integer_of_thousands_of_digits_is_refused():
    with pytest.raises(SpecError):
        parse_toml("a = 1" + "0" * 5000)


@pytest.mark.parametrize(
    "text",
    [
        "# " + "." * 60 + "\n",
        'a = """\n' + "." * 60 + '\n"""\n',
        "a = [\n" + ", ".join(f"{n / 100}" for n in range(40)) + "\n]\n",
    ],
    ids=["comment", "text", "numbers"],
)
def test_dots_that_are_no_key_do_no_harm(text):
    assert parse_toml(text) == tomllib.loads(text)


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert read_toml(path) == {"a": 1}


def test_a_value_nested_by_keys_and_tables_together_is_refused():
    with pytest.raises(SpecError, match="nest"):
        parse_toml("hidden = " + ("{a" + ".a" * 31 + " = ") * 200 + "1" + "}" * 200)
