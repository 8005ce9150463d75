"""Device models: every number with unit and source, and a file that is wrong refused with file and key path."""

import math
import random
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.errors import SpecError
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import MAX_BYTES
from imcsim.specs.fields import fields_of
from imcsim.specs.library import (
    ASSUMED,
    DeviceModel,
    Note,
    device_folder,
    device_names,
    load,
    read_device,
)

ALL_DEVICE_MODELS = device_names()

# a sound model, a line a number, for the tests to spoil
SOUND = """\
name = "mine"
title = "A cell of my own"

[cell]
kind = "sram_discharge"
v_wl_V = { value = 0.7, unit = "V", source = "datasheet, table 2" }
v_t_V = { value = 0.4, unit = "V", source = "datasheet, table 2" }
alpha = { value = 1.8, unit = "1", source = "assumed", reason = "short channel", valid = [1.2, 2.0] }
k_A_per_Valpha = { value = 220e-6, unit = "A/V^alpha", source = "fit" }
sigma_vt_V = { value = 23.8e-3, unit = "V", source = "fit" }
c_bl_F = { value = 270e-15, unit = "F", source = "layout" }
t_pulse_s = { value = 100e-12, unit = "s", source = "design" }
swing_V = { value = 0.85, unit = "V", source = "design" }

[array]
rows = { value = 64, source = "design" }
mapping = "offset"

[adc]
bits = { value = 6, source = "design" }
"""
V_T = 'v_t_V = { value = 0.4, unit = "V", source = "datasheet, table 2" }'
ALPHA = 'alpha = { value = 1.8, unit = "1", source = "assumed", reason = "short channel", valid = [1.2, 2.0] }'
ROWS = 'rows = { value = 64, source = "design" }'

# the unit that the end of a name promises
UNITS = {
    "_V": "V",
    "_A": "A",
    "_F": "F",
    "_s": "s",
    "_K": "K",
    "_Hz": "Hz",
    "_ohm": "ohm",
    "_rel": "1",
    "_sqrtF": "F^0.5",
    "_per_V": "1/V",
    "vt_per_K": "V/K",
}


@pytest.fixture
def problems(tmp_path):
    """The problems of a device file of this text, as text without the file's folder."""

    def read(text):
        path = tmp_path / "mine.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(SpecError) as caught:
            read_device(path)
        assert all(problem.source == str(path) for problem in caught.value.problems)
        return [line.replace(f"{tmp_path}/", "") for line in str(caught.value).splitlines()]

    return read


def spoilt(old, new):
    assert SOUND.count(old) == 1
    return SOUND.replace(old, new)


# ---- the models that ship


def raw(name):
    return tomllib.loads((device_folder() / f"{name}.toml").read_text())


def numbers_of(name):
    """(component, key, entry) of everything in a model's file that is no text; a component can hold others."""
    table = raw(name)
    for component in ("cell", "array", "dac", "adc"):
        yield from numbers_in(component, table[component])


def numbers_in(component, table):
    for key, entry in table.items():
        if isinstance(entry, dict) and ("kind" in entry or "value" not in entry):
            yield from numbers_in(f"{component}.{key}", entry)
        elif not isinstance(entry, (str, bool)):
            yield component, key, entry


def test_a_model_of_every_kind_of_sram_cell_ships():
    assert {"sram_ideal", "sram8t_65nm", "sram8t_is_65nm", "sram_cap_28nm"} <= set(ALL_DEVICE_MODELS)


@pytest.mark.parametrize("name", ALL_DEVICE_MODELS)
def test_a_model_is_called_as_its_file_and_says_what_it_is(name):
    model = read_device(name)
    assert model.name == name
    assert model.title
    assert model.description
    assert load(name) == model.spec


@pytest.mark.parametrize("name", ALL_DEVICE_MODELS)
def test_every_number_has_a_source_and_the_unit_of_its_field(name):
    spec = load(name)
    for component, key, entry in numbers_of(name):
        assert entry["source"].strip(), (component, key)
        holder = spec
        for part in component.split("."):
            holder = getattr(holder, part)
        field = {field.name: field for field in fields_of(type(holder))}[key]
        assert entry.get("unit", "") == field.limits.unit, (component, key)


@pytest.mark.parametrize("name", ALL_DEVICE_MODELS)
def test_units_are_those_that_the_names_promise(name):
    for component, key, entry in numbers_of(name):
        promised = [unit for end, unit in UNITS.items() if key.endswith(end)]
        if component == "cell" and promised:
            assert entry["unit"] == promised[-1], key


@pytest.mark.parametrize("name", ALL_DEVICE_MODELS)
def test_an_assumed_number_has_a_reason_and_a_range_and_every_number_lies_in_its_range(name):
    for component, key, entry in numbers_of(name):
        if entry["source"] == ASSUMED:
            assert entry["reason"].strip(), (component, key)
            assert "valid" in entry, (component, key)
        if "valid" in entry:
            low, high = entry["valid"]
            assert low < high, (component, key)
            assert low <= entry["value"] <= high, (component, key)


@pytest.mark.parametrize("name", ALL_DEVICE_MODELS)
def test_every_number_of_a_cell_is_in_the_file_and_none_is_left_to_a_default(name):
    model = read_device(name)
    for field in fields_of(type(model.spec.cell)):
        if isinstance(getattr(model.spec.cell, field.name), float):
            assert f"cell.{field.name}" in model.notes, field.name


@pytest.mark.parametrize("name", ALL_DEVICE_MODELS)
def test_what_a_model_cites_from_memory_says_so(name):
    for component, key, entry in numbers_of(name):
        if "Gonugondla" in entry["source"]:
            assert "(unverified)" in entry["source"], (component, key)


@pytest.mark.parametrize("name", ALL_DEVICE_MODELS)
def test_a_model_reads_back_from_its_own_text(name, tmp_path):
    model = read_device(name)
    (tmp_path / "copy.toml").write_text(model.to_toml())
    assert read_device(tmp_path / "copy.toml") == model


def test_the_65_nm_cell_has_the_figures_of_its_reference():
    cell = load("sram8t_65nm").cell
    i_on_A = cell.k_A_per_Valpha * (cell.v_wl_V - cell.v_t_V) ** cell.alpha
    unit_V = i_on_A * cell.t_pulse_s / cell.c_bl_F
    # references/device_and_array_models.md: 25 uA, 9.3 mV a cell, 91 cells to the swing, sigma_I / I of 14 %
    assert i_on_A == pytest.approx(25e-6, rel=0.02)
    assert unit_V == pytest.approx(9.3e-3, rel=0.01)
    assert (cell.v_dd_V - cell.v_bl_min_V) / unit_V == pytest.approx(91, rel=0.01)
    assert cell.alpha * cell.sigma_vt_V / (cell.v_wl_V - cell.v_t_V) == pytest.approx(0.14, rel=0.03)


def test_the_28_nm_capacitor_matches_to_two_thirds_of_a_percent():
    cell = load("sram_cap_28nm").cell
    # sigma_C = 2.1 x 10^-2.5 sqrt(C / fF) fF, at 1 fF
    assert cell.c_unit_F == 1e-15
    assert cell.kappa_sqrtF / math.sqrt(cell.c_unit_F) == pytest.approx(2.1 * 10**-2.5, rel=1e-3)


def test_the_ideal_cell_has_no_error_at_all():
    cell = load("sram_ideal").cell
    assert (cell.mismatch_sigma_rel, cell.read_noise_rel) == (0.0, 0.0)


# ---- a file of one's own


def test_a_file_is_read_by_its_path(tmp_path):
    (tmp_path / "mine.toml").write_text(SOUND)
    for path in (tmp_path / "mine.toml", str(tmp_path / "mine.toml")):
        spec = load(path)
        assert (spec.cell.v_t_V, spec.array.rows, spec.array.mapping, spec.adc.bits) == (0.4, 64, "offset", 6)


def test_a_number_keeps_what_its_file_says_of_it(tmp_path):
    (tmp_path / "mine.toml").write_text(SOUND)
    note = read_device(tmp_path / "mine.toml").notes["cell.alpha"]
    assert note == Note(source="assumed", unit="1", reason="short channel", valid=(1.2, 2.0))


def test_a_mismatch_may_be_given_in_place_of_what_it_is_derived_from(tmp_path):
    given_ = 'mismatch_sigma_rel = { value = 0.1, unit = "1", source = "measured" }'
    (tmp_path / "mine.toml").write_text(spoilt('sigma_vt_V = { value = 23.8e-3, unit = "V", source = "fit" }', given_))
    assert load(tmp_path / "mine.toml").cell.mismatch_sigma_rel == 0.1


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (V_T, 'v_t_V = { value = 0.4, source = "x" }', 'mine.toml: [cell] v_t_V = no unit: must be in "V"'),
        (
            V_T,
            'v_t_V = { value = 400, unit = "mV", source = "x" }',
            [
                'mine.toml: [cell] v_t_V = unit "mV": must be in "V"',
                "mine.toml: [cell] v_t_V = 400: must be a finite number from 0 to 2 (V)",
            ],
        ),
        (ROWS, 'rows = { value = 64, unit = "1", source = "x" }', 'mine.toml: [array] rows = unit "1": has no unit'),
        (
            V_T,
            'v_t_V = { value = nan, unit = "V", source = "x" }',
            "mine.toml: [cell] v_t_V = nan: must be a finite number from 0 to 2 (V)",
        ),
        (
            V_T,
            'v_t_V = { value = inf, unit = "V", source = "x" }',
            "mine.toml: [cell] v_t_V = inf: must be a finite number from 0 to 2 (V)",
        ),
        (
            V_T,
            'v_t_V = { value = true, unit = "V", source = "x" }',
            "mine.toml: [cell] v_t_V = true: must be a finite number from 0 to 2 (V)",
        ),
        (V_T, "v_t_V = true", "mine.toml: [cell] v_t_V = true: must be a finite number from 0 to 2 (V)"),
        (V_T, 'v_t_V = "0.4 V"', 'mine.toml: [cell] v_t_V = "0.4 V": must be a finite number from 0 to 2 (V)'),
        (
            V_T,
            'v_t_V = { value = "0.4", unit = "V", source = "x" }',
            'mine.toml: [cell] v_t_V = "0.4": must be a finite number from 0 to 2 (V)',
        ),
        (
            ROWS,
            'rows = { value = true, source = "x" }',
            "mine.toml: [array] rows = true: must be an integer from 1 to 1024",
        ),
        (
            ROWS,
            'rows = { value = 64.0, source = "x" }',
            "mine.toml: [array] rows = 64.0: must be an integer from 1 to 1024",
        ),
        (
            ROWS,
            'rows = { value = 4096, source = "x" }',
            "mine.toml: [array] rows = 4096: must be an integer from 1 to 1024",
        ),
        (V_T, 'v_t_V = { value = 0.4, unit = "V" }', "mine.toml: [cell.v_t_V] source: is missing; must be a string"),
        (
            V_T,
            'v_t_V = { value = 0.4, unit = "V", source = 5 }',
            "mine.toml: [cell.v_t_V] source = 5: must be a string",
        ),
        (
            V_T,
            V_T.replace("source", "zzz = 1, source"),
            'mine.toml: [cell.v_t_V] zzz: unknown key "zzz"; known: source, unit, reason, valid, interval',
        ),
        (
            ALPHA,
            ALPHA.replace("valid = [1.2, 2.0]", "valid = [1.9, 2.0]"),
            "mine.toml: [cell] alpha = 1.8: lies outside its own valid range [1.9, 2.0]",
        ),
        (
            ALPHA,
            ALPHA.replace("[1.2, 2.0]", "[1.2, 1.9, 2.0]"),
            "mine.toml: [cell] alpha = [1.2, 1.9, 2.0]: valid must be [lowest, highest]",
        ),
        (
            ALPHA,
            ALPHA.replace("[1.2, 2.0]", "[2.0, 1.2]"),
            "mine.toml: [cell] alpha = [2.0, 1.2]: valid must be [lowest, highest]",
        ),
        (
            ALPHA,
            ALPHA.replace("[1.2, 2.0]", "[1.2, nan]"),
            "mine.toml: [cell.alpha] valid = [1.2, nan]: must be a list, each a finite number",
        ),
        (
            ALPHA,
            ALPHA.replace(' reason = "short channel",', ""),
            'mine.toml: [cell] alpha: source = "assumed" needs a reason and a valid range',
        ),
        (
            ALPHA,
            ALPHA.replace(", valid = [1.2, 2.0]", ""),
            'mine.toml: [cell] alpha: source = "assumed" needs a reason and a valid range',
        ),
        (
            "[array]",
            "[arrays]",
            'mine.toml: arrays: unknown key "arrays"; did you mean "array"?',
        ),
        (
            'mapping = "offset"',
            'maping = "offset"',
            'mine.toml: [array] maping: unknown key "maping"; did you mean "mapping"?',
        ),
        (
            'mapping = "offset"',
            'mapping = "offzet"',
            (
                'mine.toml: [array] mapping = "offzet": must be one of "differential", '
                '"differential_two_sided", "offset", "twos_complement"'
            ),
        ),
        (
            '"sram_discharge"',
            '"sram_dischrge"',
            (
                'mine.toml: [cell] kind = "sram_dischrge": must be one of "sram", "sram_discharge", "sram_current", '
                '"sram_capacitor", "resistive", "pulsed"; did you mean "sram_discharge"?'
            ),
        ),
        (
            "[adc]",
            '[adc]\nkind = "xyz"',
            (
                'mine.toml: [adc] kind = "xyz": must be one of '
                '"ideal", "uniform", "sar", "ramp", "flash", "pipeline", "measured"; '
                "known: ideal, uniform, sar, ramp, flash, pipeline, measured"
            ),
        ),
        (
            V_T,
            f'{V_T}\nmismatch_sigma_rel = {{ value = 0.1, unit = "1", source = "x" }}',
            (
                "mine.toml: [cell] mismatch_sigma_rel: "
                "give either sigma_vt_V, from which it is derived, or the value itself: both are given"
            ),
        ),
        (V_T, "", "mine.toml: [cell] v_t_V: is missing; must be a finite number from 0 to 2 (V)"),
        ('name = "mine"\n', "", "mine.toml: name: must be a string, not empty"),
        ('name = "mine"', 'name = ""', "mine.toml: name: must be a string, not empty"),
        ('title = "A cell of my own"', "title = 5", "mine.toml: title: must be a string"),
    ],
)
def test_a_spoilt_file_is_told_by_its_name_and_key_path(problems, old, new, told):
    assert problems(spoilt(old, new)) == ([told] if isinstance(told, str) else told)


def test_a_bare_number_is_told_what_it_needs_in_words_to_copy(problems):
    told = problems(spoilt(V_T, "v_t_V = 0.4"))
    assert told[0] == (
        "mine.toml: [cell] v_t_V = 0.4: a number needs its unit and source; "
        'write { value = 0.4, unit = "V", source = "..." }'
    )


@pytest.mark.parametrize("entry", ["0.4", "[0.4]"])
def test_a_bare_number_is_not_called_missing(problems, entry):
    assert len(problems(spoilt(V_T, f"v_t_V = {entry}"))) == 1


def test_a_number_without_its_value_is_told_so(problems):
    told = problems(spoilt(V_T, 'v_t_V = { unit = "V", source = "x" }'))
    assert told[0] == 'mine.toml: [cell] v_t_V: has no "value"'


def test_a_number_without_its_value_is_told_nothing_of_python(problems):
    assert "None" not in "".join(problems(spoilt(V_T, 'v_t_V = { unit = "V", source = "x" }')))


def test_a_misspelt_number_is_answered_with_the_nearest_name(problems):
    told = problems(spoilt("v_t_V =", "v_tt_V ="))
    assert 'mine.toml: [cell] v_tt_V: unknown key "v_tt_V"; did you mean "v_t_V"?' in told


@pytest.mark.parametrize("source", ["", "  "])
def test_a_source_that_says_nothing_is_no_source(problems, source):
    problems(
        spoilt(
            'value = 0.4, unit = "V", source = "datasheet, table 2"', f'value = 0.4, unit = "V", source = "{source}"'
        )
    )


def test_all_problems_of_a_file_are_told_at_once(problems):
    text = spoilt(V_T, 'v_t_V = { value = 9, unit = "V", source = "x" }').replace("value = 64,", "value = 0,")
    text = text.replace("bits = { value = 6,", "bts = { value = 6,") + '[dacs]\nkind = "one_shot"\n'
    assert problems(text) == [
        "mine.toml: [cell] v_t_V = 9: must be a finite number from 0 to 2 (V)",
        "mine.toml: [array] rows = 0: must be an integer from 1 to 1024",
        'mine.toml: [adc] bts: unknown key "bts"; did you mean "bits"?',
        'mine.toml: dacs: unknown key "dacs"; did you mean "dac"?',
    ]


def test_an_unknown_kind_does_not_hide_the_other_problems(problems):
    assert len(problems(spoilt('"sram_discharge"', '"sram_dischrge"') + "[foo]\na = 1\n")) == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "mine.toml: cell: is missing; must be a table"),
        (b'name = "x"\ncell = 5\n', "mine.toml: cell = 5: must be a table"),
        (b'name = "x"\n[[cell]]\nkind = "sram"\n', 'mine.toml: cell = [{kind = "sram"}]: must be a table'),
        (b"name = ", "mine.toml: not valid TOML: "),
        (b'name = "\xff"', "mine.toml: is not UTF-8 text"),
        (b"#" * (MAX_BYTES + 1), f"mine.toml: is larger than {MAX_BYTES} bytes"),
        (b"a = " + b"[" * 3000 + b"]" * 3000, "mine.toml: not valid TOML: nested too deeply"),
        (b"a" + b".a" * 3000 + b" = 1", "mine.toml: a key of more than 32 parts"),
    ],
)
def test_a_file_that_is_no_device_model_is_refused(problems, content, told):
    assert any(line.startswith(told) for line in problems(content))


def test_a_value_nested_by_thousands_of_dots_is_refused(problems):
    problems(spoilt(V_T, "v_t_V = { value" + ".a" * 3000 + ' = 1, unit = "V", source = "x" }'))


@pytest.mark.parametrize("entry", [f"value = {10**400}", f"value = 0.4, valid = [0, {10**400}]"])
def test_an_integer_beyond_every_float_is_refused(problems, entry):
    problems(spoilt(V_T, f'v_t_V = {{ {entry}, unit = "V", source = "x" }}'))


def test_a_model_that_no_one_knows_is_answered_with_the_nearest():
    with pytest.raises(SpecError, match=r'no device model "sram8t"; did you mean "sram8t_65nm"\?'):
        load("sram8t")


@pytest.mark.parametrize("name", ["", ".", "..", "sram_ideal ", "SRAM_IDEAL", "\0"])
def test_what_is_no_name_of_a_model_is_refused(name):
    with pytest.raises(SpecError, match="no device model"):
        load(name)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path, str(tmp_path), f"{tmp_path}/none"):
        with pytest.raises(SpecError) as caught:
            load(path)
        (problem,) = caught.value.problems
        assert problem.source == str(path)


def test_a_path_with_a_null_byte_is_refused():
    with pytest.raises(SpecError):
        load("a\0b.toml")


# ---- there and back, and what random damage does

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from("\n\t"), max_size=20)


@given(title=TEXTS, description=TEXTS, source=TEXTS, reason=TEXTS, noise=st.floats(0, 2), low=st.floats(-5, 0))
def test_any_model_reads_back_from_its_text(tmp_path_factory, title, description, source, reason, noise, low):
    spec = load("sram_ideal").replace("cell.read_noise_rel", noise)
    notes = {
        **read_device("sram_ideal").notes,
        "cell.read_noise_rel": Note(source=f"a{source}", unit="1", reason=reason, valid=(low, 2.0)),
    }
    model = DeviceModel(name="mine", title=title, description=description, spec=spec, notes=notes)
    path = tmp_path_factory.getbasetemp() / "any_model.toml"
    path.write_text(model.to_toml(), encoding="utf-8", newline="")
    assert read_device(path) == model


def test_a_title_with_a_carriage_return_reads_back(tmp_path):
    (tmp_path / "mine.toml").write_text(spoilt("A cell of my own", "A cell\\r of my own"))
    (tmp_path / "copy.toml").write_bytes(read_device(tmp_path / "mine.toml").to_toml().encode())
    assert read_device(tmp_path / "copy.toml").title == "A cell\r of my own"


def mutated(data, rng):
    """`data` with a few bytes changed, dropped, doubled or swapped for pieces of TOML."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at = rng.randrange(len(data))
        match rng.randrange(5):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randrange(1, 30)]
            case 2:
                data[at:at] = data[at : at + rng.randrange(1, 60)]
            case 3:
                data[at:at] = rng.choice([b"nan", b"-inf", b"true", b"{}", b"[]", b'""', b"1e999", b"9" * 30, b"\n["])
            case 4:
                data[at : at + 1] = rng.choice([b"=", b".", b"'", b'"', b",", b"#", b"}", b"]", b"\n", b"0", b"-"])
    return bytes(data)


@pytest.mark.parametrize("name", ALL_DEVICE_MODELS)
def test_random_damage_to_a_file_gives_a_spec_error_or_a_sound_chip_and_nothing_else(name, tmp_path):
    rng = random.Random(20)
    sound = (device_folder() / f"{name}.toml").read_bytes()
    path = tmp_path / "damaged.toml"
    refused = []
    for _ in range(300):
        path.write_bytes(mutated(sound, rng))
        try:
            assert isinstance(load(path), ChipSpec)
        except SpecError as error:
            refused.append(error)
    assert {problem.source for error in refused for problem in error.problems} == {str(path)}
    assert 150 < len(refused) < 300  # most damage shows, and damage to a comment or a digit need not
