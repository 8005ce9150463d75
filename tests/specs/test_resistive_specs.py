"""Resistive cells as data: what cannot be is told, the shipped models read back, every number has its source."""

from __future__ import annotations

import tomllib

import pytest

from imcsim.errors import SpecError
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import build, format_toml, overlay, parse_toml, to_table
from imcsim.specs.curves import (
    ConstantCurve,
    ExponentialCurves,
    LogarithmicCurve,
    PolynomialCurve,
    PolynomialCurves,
    PowerCurve,
    TableCurve,
)
from imcsim.specs.library import ASSUMED, device_folder, device_names, load, read_device
from imcsim.specs.resistive import (
    FlickerNoise,
    LogarithmicDrift,
    NoDrift,
    ProgrammingError,
    ResistiveCell,
    SinhCurrent,
    StuckCells,
    TableDrift,
    ValidRange,
    WriteVerify,
)

FOLDER = device_folder()
MODELS = [name for name in device_names() if load(name).cell.kind == "resistive"]
EVERY_MODEL = pytest.mark.parametrize("name", MODELS)
ONE = ConstantCurve(value=0.1)


# ---- what cannot be


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: ResistiveCell(g_max_S=0.0), "g_max_S = 0.0: must be a finite number from 1e-12 to 1 (S)"),
        (lambda: ResistiveCell(g_max_S=1e-5, g_min_S=2e-5), "g_min_S = 2e-05: must be below g_max_S = 1e-05 S"),
        (
            lambda: ResistiveCell(g_max_S=1e-5, g_min_S=1e-6, on_off_ratio=10.0),
            "g_min_S: give either g_min_S or on_off_ratio: both are given",
        ),
        (
            lambda: ResistiveCell(g_max_S=1e-5, temperature_K=400.0, drift=LogarithmicDrift()),
            "activation_eV: give both temperature_K and activation_eV, or none",
        ),
        (
            lambda: ResistiveCell(g_max_S=1e-5, temperature_K=400.0, activation_eV=1.0, drift=NoDrift()),
            "activation_eV = 1: would change nothing: the cell has no drift",
        ),
        (
            lambda: ResistiveCell(g_max_S=1e-5, t0_s=1e-3, flicker_noise=FlickerNoise(sigma=ONE, t_read_s=1.0)),
            "flicker_noise.t_read_s = 1: must be at most t0_s = 0.001 s",
        ),
        (
            lambda: ResistiveCell(g_max_S=1e-5, t0_s=0.5, drift=LogarithmicDrift()),
            't0_s = 0.5: must be at least 1 s where drift is "logarithmic"',
        ),
        (
            lambda: ResistiveCell(
                g_max_S=1.0,
                t0_s=100.0,
                programming=ProgrammingError(sigma=ONE),
                drift=TableDrift(times_s=(10.0,), sigma=PolynomialCurves(coefficients=((0.1,),))),
            ),
            "drift.times_s = 10: must lie after t0_s = 100 s; the write has the first",
        ),
        (
            lambda: ResistiveCell(
                g_max_S=1.0, drift=TableDrift(times_s=(10.0,), sigma=PolynomialCurves(coefficients=((0.1,),)))
            ),
            'programming: is needed where drift is "table": it has the spread at t0_s',
        ),
        (
            lambda: TableDrift(times_s=(10.0, 5.0), sigma=PolynomialCurves(coefficients=((0.1,), (0.2,)))),
            "times_s = [10.0, 5.0]: must be at least one number, each above the one before",
        ),
        (
            lambda: TableDrift(times_s=(10.0,), sigma=ExponentialCurves(amplitudes=(1.0, 2.0), scales=(1.0, 1.0))),
            "sigma = 2: must be 1 curves, one a time",
        ),
        (lambda: ExponentialCurves(amplitudes=(1.0,), scales=()), "scales = 0: must be 1, one a time"),
        (lambda: PolynomialCurves(coefficients=((1.0,), ())), "coefficients = an empty row: needs at least one number"),
        (lambda: PolynomialCurve(coefficients=()), "coefficients = []: needs at least one number"),
        (lambda: PolynomialCurve(coefficients=(1.0,), low=2.0, high=1.0), "low = 2: must be at most high = 1"),
        (lambda: LogarithmicCurve(offset=0.0, slope=-1.0), "high: is needed where slope is negative"),
        (lambda: LogarithmicCurve(offset=0.0, slope=1.0), "low: is needed where slope is positive"),
        (lambda: PowerCurve(factor=1.0, exponent=-0.5), "high: is needed where exponent is negative"),
        (lambda: TableCurve(states=(0.0, 1.0), values=(1.0,)), "values = 1 values: must be 2, one a state"),
        (lambda: TableCurve(states=(), values=()), "states = []: must be at least one number"),
        (
            lambda: ProgrammingError(sigma=ONE, scaling="proportional", unit_S=1e-6),
            'unit_S = 1e-06: has no meaning where scaling = "proportional"',
        ),
        (lambda: WriteVerify(tolerance_rel=0.1, attempts=1), "attempts = 1: must be an integer from 2 to 64"),
        (lambda: StuckCells(on=0.6, off=0.6), "on = 0.6: on, off and at_value must add up to at most 1"),
        (lambda: StuckCells(at_value=0.1), "value_S: is needed where at_value is above 0, and only there"),
        (lambda: LogarithmicDrift(sigma_slope_S=1e-9), "sigma_S = none: is needed where sigma_slope_S is above 0"),
        (lambda: StuckCells(value_S=0.1), "value_S: is needed where at_value is above 0, and only there"),
        (lambda: SinhCurrent(v_read_V=1.0, v0_V=0.01), "v0_V = 0.01: must be at least v_read_V / 50 = 0.02 V"),
        (lambda: ValidRange(g_low_S=2e-6, g_high_S=1e-6), "g_low_S = 2e-06: must be at most g_high_S = 1e-06"),
    ],
)
def test_what_cannot_be_is_told(make, told):
    with pytest.raises(SpecError) as caught:
        make()
    assert any(line.startswith(told) for line in str(caught.value).splitlines()), str(caught.value)


def test_to_give_g_min_sets_the_ratio_aside_and_the_reverse():
    cell = ResistiveCell(g_max_S=1e-5, on_off_ratio=10.0)
    assert cell.lowest == pytest.approx(1e-6)
    other = cell.replace("g_min_S", 2e-6)
    assert (other.on_off_ratio, other.lowest, other.span) == (None, 2e-6, pytest.approx(8e-6))
    assert other.replace("on_off_ratio", 10.0).lowest == pytest.approx(1e-6)


def test_a_number_deep_inside_is_changed_by_its_path():
    chip = load(FOLDER / "pcm.toml")
    assert chip.replace("cell.drift.nu_mean.low", 0.01).cell.drift.nu_mean.low == 0.01
    changed = overlay(chip, {"cell": {"drift": {"kind": "none"}, "programming": {"law": "uniform"}}})
    assert changed.cell.drift == NoDrift()
    assert (changed.cell.programming.law, changed.cell.programming.sigma) == ("uniform", chip.cell.programming.sigma)
    with pytest.raises(SpecError, match=r"cell\.programming\.sigma: unknown field \"lw\"|lw"):
        chip.replace("cell.programming.sigma.lw", 1.0)


# ---- the models that ship


def numbers_in(table, path=()):
    """(path, entry) of every number with its note in nested tables."""
    for key, entry in table.items():
        if isinstance(entry, dict) and "value" in entry and "source" in entry:
            yield (*path, key), entry
        elif isinstance(entry, dict):
            yield from numbers_in(entry, (*path, key))


def test_a_model_of_every_device_ships():
    assert {
        "resistive_ideal", "resistive_generic", "pcm", "pcm_hermes_1", "pcm_hermes_2",
        "rram_wan", "rram_cmo", "rram_milo", "sonos_40nm",
    } <= set(MODELS)  # fmt: skip


@EVERY_MODEL
def test_a_model_is_called_as_its_file_and_reads_back_from_its_own_text(name, tmp_path):
    model = read_device(FOLDER / f"{name}.toml")
    assert model.name == name
    assert model.title
    assert model.description
    (tmp_path / "copy.toml").write_text(model.to_toml())
    assert read_device(tmp_path / "copy.toml") == model


@EVERY_MODEL
def test_the_chip_of_a_model_reads_back_as_the_same_chip(name):
    chip = load(FOLDER / f"{name}.toml")
    problems = []
    assert build(ChipSpec, parse_toml(format_toml(to_table(chip))), (), problems) == chip
    assert problems == []


@EVERY_MODEL
def test_every_number_of_a_model_has_a_source_and_assumed_ones_a_reason_and_a_range(name):
    table = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    notes = read_device(FOLDER / f"{name}.toml").notes
    found = dict(numbers_in(table))
    assert {".".join(path) for path in found} == set(notes)
    for path, entry in found.items():
        assert entry["source"].strip(), path
        assert ("reason" in entry and "valid" in entry) or entry["source"] != ASSUMED, path
    for licensed, licence in (("aihwkit", "MIT"), ("CrossSim", "BSD-3")):
        if any(licensed in entry["source"] for entry in found.values()):
            assert licence in table["description"]


@pytest.mark.parametrize(
    ("number", "where"),
    [
        ("[0.26348, 1.9650, -1.1731]", "[cell.programming.sigma] coefficients"),
        ("0.049", "[cell.drift.nu_mean] low"),
        ("250e-9", "[cell.flicker_noise] t_read_s"),
    ],
)
def test_a_number_without_its_source_is_refused_however_deep(number, where, tmp_path):
    lines = (FOLDER / "pcm.toml").read_text().splitlines()
    (with_note,) = (line for line in lines if f"value = {number}, unit" in line)
    lines[lines.index(with_note)] = f"{with_note.split(' = ')[0]} = {number}"
    (tmp_path / "mine.toml").write_text("\n".join(lines))
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "mine.toml")
    (told,) = str(caught.value).splitlines()  # and not that it is missing
    assert f"{where} = " in told
    assert "a number needs its unit and source" in told


def test_a_wrong_unit_deep_inside_is_told_with_its_path(tmp_path):
    text = (FOLDER / "pcm.toml").read_text().replace('250e-9, unit = "s"', '250e-9, unit = "ns"')
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(SpecError, match=r'\[cell\.flicker_noise\] t_read_s = unit "ns": must be in "s"'):
        load(tmp_path / "mine.toml")


def test_a_misspelt_kind_deep_inside_is_answered_with_the_nearest(tmp_path):
    text = (FOLDER / "pcm.toml").read_text().replace('kind = "polynomial"', 'kind = "polinomial"')
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(SpecError, match=r'\[cell\.programming\.sigma\] kind .*did you mean "polynomial"'):
        load(tmp_path / "mine.toml")
