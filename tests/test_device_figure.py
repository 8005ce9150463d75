"""The figure of a device: its tables against closed forms, how it is drawn, and the command that writes it."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import norm

from imcsim import cli
from imcsim.device_curves import Curve, Panel, tables
from imcsim.device_curves.resistive import DAY_S, YEAR_S, in_words
from imcsim.device_figure import device_figure, draw
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.curves import ConstantCurve, PowerCurve
from imcsim.specs.library import device_folder, device_names, load
from imcsim.specs.pulsed import (
    ConstantStepDevice,
    ExponentialStepDevice,
    LinearStepDevice,
    PowerStepDevice,
    SoftBoundsDevice,
    TableStepDevice,
)
from imcsim.specs.resistive import (
    FlickerNoise,
    LogarithmicDrift,
    NoDrift,
    PowerDrift,
    ProgrammingError,
    RelaxationDrift,
    ResistiveCell,
    StuckCells,
    TelegraphNoise,
    ValidRange,
    WhiteNoise,
    WriteVerify,
)

ARRAY = ArraySpec(cell_bits=2, weight_bits=3)
EVERY_MODEL = pytest.mark.parametrize("name", device_names())


def of_model(name):
    spec = load(device_folder() / f"{name}.toml")
    return tables(spec.cell, spec.array)


def cell(**parts):
    return ResistiveCell(g_max_S=20e-6, t0_s=10.0, **parts)


def error(sigma=0.05, **how):
    return ProgrammingError(sigma=ConstantCurve(value=sigma), **how)


def panel(of, title, array=ARRAY):
    (found,) = [one for one in tables(of, array).panels if one.title.startswith(title)]
    return found


def curve(of, title, label, array=ARRAY):
    (found,) = [one for one in panel(of, title, array).curves if one.label.startswith(label)]
    return found


def titles(of):
    return [one.title.split(":")[0] for one in tables(of, ARRAY).panels]


# Resistive cells


def test_the_error_of_a_write_is_the_curve_of_the_cell_and_what_is_drawn_lies_on_it():
    of = cell(programming=error(0.05, scaling="proportional"), g_min_S=2e-6)
    law = curve(of, "Error of a write", "one write")
    np.testing.assert_allclose(law.y, 0.05 * law.x)
    assert (law.x[0], law.x[-1]) == pytest.approx((2, 20))
    drawn = curve(of, "Error of a write", "held")
    standard_error = 0.05 * drawn.x / math.sqrt(2 * 10_000)
    assert np.all(np.abs(drawn.y - 0.05 * drawn.x) < 5 * standard_error)
    assert not np.all(np.abs(drawn.y - 0.053 * drawn.x) < 5 * standard_error)


def test_verified_writes_are_drawn_after_verification():
    of = cell(programming=error(0.05, verify=WriteVerify(tolerance_rel=0.02, attempts=64)), g_min_S=5e-6)
    drawn = curve(of, "Error of a write", "held at t0, after 64 writes at most")
    # a normal law cut off at a = 0.4 sigma: variance 1 - 2 a phi(a) / (2 Phi(a) - 1)
    a = 0.4
    sigma = math.sqrt(1 - 2 * a * norm.pdf(a) / (2 * norm.cdf(a) - 1))
    np.testing.assert_allclose(drawn.y, 20 * 0.05 * sigma, rtol=0.03)
    np.testing.assert_allclose(curve(of, "Error of a write", "one write").y, 20 * 0.05)


def test_the_median_drifts_by_the_exponent_of_the_cell_between_quantiles_of_its_spread():
    of = cell(drift=PowerDrift(nu_mean=ConstantCurve(value=0.05), nu_sigma=ConstantCurve(value=0.01)))
    found = panel(of, "Drift")
    assert found.x_scale == "time"
    assert [one.label.split()[1] for one in found.curves] == ["20", "15", "10", "5"]
    for one in found.curves:
        assert (one.x[0], one.x[-1]) == pytest.approx((10, YEAR_S))
        slopes = [np.polyfit(np.log(one.x), np.log(y), 1)[0] for y in (one.y, *one.band)]
        # the 95th part of conductances is the 5th of exponents; the median of 1e4 is known to 0.0125 sigma
        assert slopes == pytest.approx([-0.05, -0.05 - 1.645 * 0.01, -0.05 + 1.645 * 0.01], abs=0.001)


def test_what_lies_beyond_the_valid_time_is_known_to_be_extrapolated():
    drift = PowerDrift(nu_mean=ConstantCurve(value=0.05))
    of = cell(drift=drift, valid=ValidRange(t_max_s=DAY_S), flicker_noise=flicker())
    for one in panel(of, "Drift").curves:
        assert one.x[one.known].max() == pytest.approx(10 + DAY_S)
        np.testing.assert_array_equal(one.known, one.x <= 10 + DAY_S)
    assert [one.known.all() for one in panel(of, "Read noise").curves] == [True, True, False]
    assert tables(of, ARRAY).extrapolated
    refusing = dataclasses.replace(of, valid=ValidRange(t_max_s=DAY_S, beyond_t_max="error"))
    assert not tables(refusing, ARRAY).extrapolated
    assert panel(refusing, "Drift").curves[0].x[-1] == pytest.approx(10 + DAY_S)
    assert len(panel(refusing, "Read noise").curves) == 2


def flicker():
    return FlickerNoise(sigma=PowerCurve(factor=0.01, exponent=0.5), scaling="proportional", t_read_s=1e-6)


def test_read_noise_is_that_of_each_kind():
    of = cell(
        drift=NoDrift(),
        white_noise=WhiteNoise(sigma=ConstantCurve(value=0.01)),
        flicker_noise=flicker(),
        telegraph_noise=TelegraphNoise(amplitude=ConstantCurve(value=0.02), occupancy=0.3, share_of_cells=0.1),
    )
    np.testing.assert_allclose(curve(of, "Read noise", "white").y, 0.01 * 20)
    for label, t_s in (("1/f, at t0", 10), ("1/f, after 1 day", 10 + DAY_S), ("1/f, after 1 year", 10 + YEAR_S)):
        found = curve(of, "Read noise", label)
        grown = math.sqrt(math.log((t_s + 1e-6) / 2e-6))
        np.testing.assert_allclose(found.y, 0.01 * np.sqrt(found.x / 20) * found.x * grown)
    np.testing.assert_allclose(curve(of, "Read noise", "telegraph: distance of the levels, in 10 %").y, 0.02 * 20)


def test_a_level_is_a_normal_density_about_its_target_at_once_and_about_where_it_drifted_to_later():
    drift = PowerDrift(nu_mean=ConstantCurve(value=0.05))
    of = cell(programming=error(0.02), drift=drift, g_min_S=4e-6)
    for label, left in (("at once", 1.0), ("1 day later", ((10 + DAY_S) / 10) ** -0.05)):
        found = curve(of, "Levels: 4,", label)
        expected = np.mean([norm.cdf(found.x / left, level, 0.4) for level in np.linspace(4, 20, 4)], axis=0)
        cells = 4 * 50_000
        seen = np.concatenate([[0], np.cumsum(found.y * np.diff(found.x))])
        # Kolmogorov: sqrt(n) times the largest distance exceeds 2.6 once in 4e5 draws
        assert np.abs(seen - expected).max() < 2.6 / math.sqrt(cells)
        assert np.abs(seen - np.roll(expected, 1)).max() > 2.6 / math.sqrt(cells)


def test_at_most_eight_levels_are_shown_and_only_those_that_can_be_written():
    wide = ArraySpec(cell_bits=4, weight_bits=5)
    at = curve(cell(), "Levels: 8 of 16", "at once", wide)
    assert at.x[:-1][at.y > 0] == pytest.approx(np.linspace(0, 20, 8), abs=20 / 200)
    narrow = curve(cell(valid=ValidRange(g_low_S=5e-6)), "Levels", "at once", wide)
    assert narrow.x[0] == pytest.approx(20 * 2 / 7)


def test_stuck_cells_are_among_the_levels():
    of = cell(stuck=StuckCells(at_value=0.1, value_S=13.04e-6))
    found = curve(of, "Levels", "at once")
    share = (found.y * np.diff(found.x))[np.searchsorted(found.x, 13.04) - 1]
    assert share == pytest.approx(0.1, abs=5 * math.sqrt(0.1 * 0.9 / 200_000))


def test_what_a_cell_has_not_is_said_and_not_drawn():
    assert titles(cell()) == ["Levels"]
    assert tables(cell(), ARRAY).notes == (
        "No error of writes.",
        "Drift is not known: the cell is read at once or not at all.",
        "No read noise.",
    )
    assert titles(cell(drift=NoDrift(), programming=error())) == ["Error of a write", "Levels", "Drift"]
    # what moves until t0 is of the write
    relaxing = RelaxationDrift(c1=ConstantCurve(value=0.0), c2=ConstantCurve(value=1e-4))
    assert titles(cell(drift=relaxing)) == ["Error of a write", "Levels", "Drift"]
    assert titles(cell(drift=LogarithmicDrift(sigma_S=1e-7))) == ["Levels", "Drift"]


def test_the_drift_of_a_hot_cell_is_drawn_as_known_for_its_age_at_300_K():
    hot = cell(drift=LogarithmicDrift(), temperature_K=330.0, activation_eV=0.5, valid=ValidRange(t_max_s=DAY_S))
    faster = math.exp(0.5 / 8.617333e-5 * (1 / 300 - 1 / 330))
    found = panel(hot, "Drift").curves[0]
    assert found.x[found.known].max() == pytest.approx(hot.t0_s + DAY_S / faster, rel=1e-6)
    assert not found.known.all()


def test_times_are_told_in_words():
    assert [in_words(t) for t in (0.02, 1, 90, 7200, DAY_S, 2 * DAY_S, YEAR_S)] == [
        "20 ms", "1 s", "1.5 min", "2 h", "1 day", "2 days", "1 year",
    ]  # fmt: skip


# SRAM cells


def moments(steps):
    middle, share = (steps.x[1:] + steps.x[:-1]) / 2, steps.y * np.diff(steps.x)
    mean = share @ middle
    # Sheppard's correction of bins: their own variance, width^2 / 12
    return mean, math.sqrt(share @ (middle - mean) ** 2 - (steps.x[1] - steps.x[0]) ** 2 / 12)


def test_the_on_current_of_sram_spreads_by_its_mismatch_about_the_alpha_power_law():
    of = load("sram8t_65nm").cell
    for v_wl_V in (0.6, 0.7, 0.8):
        i_on, sigma = 220 * (v_wl_V - 0.4) ** 1.8, 1.8 * 23.8e-3 / (v_wl_V - 0.4)
        found = moments(curve(of, "On-current", f"V_WL = {v_wl_V}"))
        assert found == pytest.approx((i_on, sigma * i_on), rel=0.01)


def test_mismatch_over_the_word_line_voltage_is_the_derivative_of_the_alpha_power_law():
    law = curve(load("sram8t_65nm").cell, "Mismatch", "alpha sigma_Vt")
    np.testing.assert_allclose(law.y, 100 * 1.8 * 23.8e-3 / (law.x - 0.4))
    of = load("sram_cap_28nm").cell
    law = curve(of, "Mismatch", "kappa")
    np.testing.assert_allclose(law.y, 100 * 2.1e-10 / np.sqrt(1e-15 * law.x))


def test_noise_of_a_column_adds_up_over_its_conducting_cells():
    of = SramCell(read_noise_rel=0.02)
    found = curve(of, "Noise of one read", "of the cells")
    np.testing.assert_allclose(found.y, 0.02 * np.sqrt(found.x), rtol=1e-6)
    both = panel(load("sram8t_is_65nm").cell, "Noise of one read")
    cells, own, together = (one.y for one in both.curves)
    np.testing.assert_allclose(together, np.hypot(cells, own))


def test_the_share_of_lost_bits_is_the_normal_tail_of_the_minimum_voltage():
    found = curve(load("sram8t_65nm").cell, "Bits lost", "of cells")
    np.testing.assert_allclose(found.y, norm.sf((found.x - 0.2) / 0.04))


def test_a_driven_cell_that_stores_0_conducts_what_its_ratio_leaves():
    of = SramCell(mismatch_sigma_rel=0.05, on_off_ratio=11)
    assert moments(curve(of, "Current", "stores 0")) == pytest.approx((0.1, 0.005), rel=0.02)
    assert moments(curve(of, "Current", "stores 1"))[0] == pytest.approx(1.1, rel=0.01)


# Pulsed devices

RANGE = {"dw_min": 0.001, "w_min": -0.4, "w_max": 0.6}


def test_soft_bounds_respond_to_pulses_exponentially_up_and_then_down():
    found = curve(SoftBoundsDevice(**RANGE), "Pulse response", "400 devices")
    up = found.x <= 1500
    top = 0.6 - (1 - 0.001 / 0.6) ** 1500
    np.testing.assert_allclose(found.y[up], 0.6 - (1 - 0.001 / 0.6) ** found.x[up], atol=1e-4)
    left = (top + 0.4) * (1 - 0.001 / 0.4) ** (found.x[~up] - 1500)
    np.testing.assert_allclose(found.y[~up], -0.4 + left, atol=1e-4)
    step = curve(SoftBoundsDevice(**RANGE), "Step", "a pulse up")
    np.testing.assert_allclose(step.y, 1 - step.x / 0.6, atol=1e-6)


def test_the_step_of_devices_spreads_as_told():
    of = ConstantStepDevice(**RANGE, dw_min_dtod_rel=0.1)
    low, high = curve(of, "Step", "a pulse up").band
    # a 5 % quantile of 400 is known to 0.1 sigma
    assert low[0] == pytest.approx(1 - 0.1645, abs=0.05)
    assert high[0] == pytest.approx(1 + 0.1645, abs=0.05)


@pytest.mark.parametrize(
    "device",
    [
        ConstantStepDevice(**RANGE, cycle_sigma_rel=0.3),
        LinearStepDevice(**RANGE, gamma_up=0.5, gamma_down=0.5, w_max_dtod_rel=0.3),
        SoftBoundsDevice(**RANGE, up_down_dtod=0.1),
        ExponentialStepDevice(**RANGE, A_up=0.3, A_down=0.2, gamma_up=1.5, gamma_down=1.0),
        PowerStepDevice(**RANGE, gamma=2),
        TableStepDevice(**RANGE, up=(2, 1, 0), down=(0, 1, 2)),
        ConstantStepDevice(dw_min=1e-9, w_min=-0.4, w_max=0.6),  # more pulses than anyone waits for
    ],
    ids=lambda device: device.kind,
)
def test_every_pulsed_device_has_a_response_and_a_step(device):
    found = tables(device, ARRAY)
    assert [one.title.split(":")[0] for one in found.panels] == ["Pulse response", "Step"]
    assert_sound(found)


# Every model


def assert_sound(found):
    assert found.panels
    for one in found.panels:
        assert one.curves
        assert all(label.endswith(")") or "pulses" in label or "cells" in label or one.x_scale == "time"
                   for label in (one.x_label, one.y_label))  # fmt: skip
        for line in one.curves:
            assert np.isfinite(line.x).all()
            assert np.isfinite(line.y).all()
            assert np.all(np.diff(line.x) > 0)
            assert len(line.x) == len(line.y) + (line.form == "steps")
            if line.form == "steps":
                assert line.y @ np.diff(line.x) == pytest.approx(1)
            if line.band is not None:
                assert np.all(line.band[0] <= line.y)
                assert np.all(line.y <= line.band[1])


@EVERY_MODEL
def test_every_model_has_sound_tables_that_are_the_same_twice(name):
    one, two = of_model(name), of_model(name)
    assert_sound(one)
    for a, b in zip(one.panels, two.panels, strict=True):
        for x, y in zip(a.curves, b.curves, strict=True):
            np.testing.assert_array_equal(x.y, y.y)


@EVERY_MODEL
def test_every_panel_of_a_model_is_drawn_with_its_units_and_a_legend(name):
    found = of_model(name)
    figure = device_figure(found, name)
    for ax, one in zip(figure.axes, found.panels, strict=True):
        assert (ax.get_xlabel(), ax.get_ylabel()) == (one.x_label, one.y_label)
        assert sorted(text.get_text() for text in ax.get_legend().get_texts()) == sorted(c.label for c in one.curves)
    words = figure.get_supxlabel().replace("\n", " ")
    assert ("Dashed: extrapolated" in words) == found.extrapolated
    assert all(note in words for note in found.notes)


def test_a_type_without_tables_is_refused():
    with pytest.raises(TypeError, match="no tables of object"):
        tables(object(), ARRAY)


# Drawing


@pytest.fixture
def ax():
    from matplotlib.figure import Figure

    return Figure().add_subplot()


def test_a_line_is_solid_where_it_is_known_and_dashed_beyond_without_a_gap(ax):
    x = np.arange(6.0)
    one = Curve("one", x, x + 1, known=x <= 3)
    draw(Panel("a", "x (s)", "y (S)", (one,)), ax)
    spans = {
        line.get_linestyle(): x[~np.isnan(line.get_ydata())].tolist()
        for line in ax.lines
        if line.get_linestyle() != "None" and len(line.get_xdata())
    }
    assert spans == {"-": [0, 1, 2, 3], "--": [3, 4, 5]}


def test_a_curve_that_is_known_nowhere_is_dashed_in_the_legend_too(ax):
    x = np.arange(6.0)
    draw(Panel("a", "x (s)", "y (S)", (Curve("one", x, x, known=x < 0),)), ax)
    assert [line.get_linestyle() for line in ax.get_legend().get_lines()] == ["--"]


def test_curves_differ_in_colour_and_in_marker(ax):
    x = np.arange(20.0)
    draw(Panel("a", "x (s)", "y (S)", tuple(Curve(str(k), x, x + k) for k in range(4))), ax)
    lines = ax.get_legend().get_lines()
    assert len({line.get_color() for line in lines}) == len({line.get_marker() for line in lines}) == 4


def test_the_numbers_of_a_log_axis_are_plain(ax):
    x = np.arange(1.0, 5)
    draw(Panel("a", "x (s)", "y (S)", (Curve("one", x, 10**-x),), y_scale="log"), ax)
    ax.figure.canvas.draw()
    shown = [text.get_text() for text in ax.get_yticklabels()]
    assert {"0.1", "0.001"} <= set(shown)
    assert not [text for text in shown if "$" in text]


# The command


@pytest.fixture
def imcsim(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def give(*arguments):
        code = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return give


def test_the_command_draws_into_a_file_of_the_device_s_name_and_says_so(imcsim, tmp_path):
    assert imcsim("devices", "resistive_ideal", "--plot") == (0, "", "imcsim: resistive_ideal.png\n")
    assert (tmp_path / "resistive_ideal.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["resistive_ideal.png"]


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_command_writes_every_kind_of_file_the_same_twice(imcsim, tmp_path, kind, start):
    for name in ("one", "two"):
        assert imcsim("devices", "rram_milo", "--plot", "--out", f"{name}.{kind}")[0] == 0
    one, two = ((tmp_path / f"{name}.{kind}").read_bytes() for name in ("one", "two"))
    assert one.startswith(start)
    assert one == two


def test_a_model_of_one_s_own_is_drawn_beside(imcsim, tmp_path):
    (tmp_path / "mine.toml").write_text(imcsim("devices", "sram_ideal", "--toml")[1])
    assert imcsim("devices", "./mine.toml", "--plot") == (0, "", "imcsim: mine.png\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--plot"], ["--plot", "draws one device", "give its NAME"]),
        (["pcm", "--plot", "--json"], ["--plot", "--json does", "give one of the two"]),
        (["pcm", "--plot", "--toml"], ["--plot", "--toml does", "give one of the two"]),
        (["--plot", "--toml", "--json"], ["draws one device", "--toml does", "--json does"]),
        (["pcm", "--out", "pcm.png"], ["--out", "pcm.png", "give --plot"]),
        (["pcm", "--plot", "--out", "pcm.gif"], ["--out", "must end in .png, .svg or .pdf", "pcm.gif"]),
        (["pcm", "--plot", "--out", "none/pcm.png"], ["none"]),
        (["pmc", "--plot"], ['did you mean "pcm"?']),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_what_to_do(imcsim, tmp_path, arguments, words):
    code, out, err = imcsim("devices", *arguments)
    assert (code, out) == (2, "")
    assert [word for word in words if word not in err] == []
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_listing_devices_does_not_load_what_draws_them():
    code = "import sys; from imcsim.cli import main; main(['devices']); sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
