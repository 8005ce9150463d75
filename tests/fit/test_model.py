"""What was fitted becomes a device model: chips run on it, and its numbers say where they are from."""

from __future__ import annotations

import dataclasses

import drawn
import numpy as np
import pytest

from imcsim.errors import FitError
from imcsim.fit import device_model, estimators, fit
from imcsim.manufacturing import manufacture
from imcsim.measurements import ReadNoise, read, write
from imcsim.specs.library import read_device


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def measured(tmp_path):
    def made(*groups):
        path = tmp_path / "lab.h5"
        write(path, groups, sample={"name": "cell 7"})
        return read(path)

    return made


def modelled(measurements, tmp_path, settings=(), only=()):
    """The model of a file, written and read back."""
    found = fit(measurements, using=estimators(settings, only))
    model = device_model(found.results, measurements, "my_cell")
    path = tmp_path / "my_cell.toml"
    path.write_text(model.to_toml())
    again = read_device(path)
    assert again.spec == model.spec
    return again


def run(spec, rng):
    """Program a crossbar of a chip, calibrate and read it."""
    weights = rng.standard_normal((48, 8))
    x = np.abs(rng.standard_normal((64, 48)))
    die = manufacture(spec, weights.shape, 1)
    return weights, x, die.program(weights, rng).calibrate(x).mvm(x, rng)


def test_a_chip_runs_on_fitted_writes_drift_and_reads(measured, tmp_path, rng):
    measurements = measured(
        drawn.by_polynomial(rng, drawn.PCM_SIGMA, 25.0, 1500), drawn.pcm_drift(rng, 400), drawn.sonos_reads(rng, 40)
    )
    model = modelled(measurements, tmp_path, only=("programming", "drift", "read_noise"))
    cell = model.spec.cell
    assert (cell.programming.law, cell.drift.kind, cell.t0_s) == ("normal", "power", 20.0)
    assert cell.white_noise is not None
    assert cell.valid.t_max_s == pytest.approx(1e5 - 20, rel=1e-3)
    weights, x, y = run(model.spec, rng)
    assert np.corrcoef(y.ravel(), (x @ weights).ravel())[0, 1] > 0.9


def test_numbers_say_where_they_come_from_and_how_sure_they_are(measured, tmp_path, rng):
    measurements = measured(drawn.by_polynomial(rng, drawn.PCM_SIGMA, 25.0, 1500))
    settings = ["programming.mean=none", "programming.sigma=polynomial", "programming.law=normal"]
    model = modelled(measurements, tmp_path, settings)
    note = model.notes["cell.programming.sigma.coefficients"]
    assert measurements.sha256[:16] in note.source
    low, high = np.reshape(note.interval, (-1, 2)).T
    coefficients = np.array(model.spec.cell.programming.sigma.coefficients)
    assert ((low < coefficients) & (coefficients < high)).all()
    assert model.notes["array.rows"].source.startswith("design choice")
    assert "fitted" not in model.notes["dac.bits"].source


def test_writes_of_the_model_are_those_that_were_measured(measured, tmp_path, rng):
    """What a chip programs from the fitted model has the spread of what was measured: the fit, the file, the chip."""
    target = np.full(3000, 12.0)
    target[::2] = 25.0
    sigma = np.where(target > 20, 2.0, 0.8)
    data = drawn.writes(rng, sigma, target, "student_t")
    model = modelled(measured(data), tmp_path, ["programming.sigma=table", "programming.mean=none"])
    assert model.spec.cell.programming.law == "student_t"
    from imcsim.cells.programming import programmed

    for goal, spread in ((12e-6, 0.8e-6), (25e-6, 2e-6)):
        held, _ = programmed(model.spec.cell, np.full(40_000, goal), lambda k: rng.standard_normal(40_000))
        assert np.std(held) == pytest.approx(spread, rel=0.12)
        # heavy tails, as measured: a normal law would leave 0.27 % beyond three sigma
        assert np.mean(np.abs(held - goal) > 3 * np.std(held)) > 0.006


def test_a_fitted_converter_is_one_that_chips_have(measured, tmp_path, rng):
    data, _ = drawn.converter(rng, 6, 0.3)
    model = modelled(measured(data), tmp_path)
    assert model.spec.adc.kind == "measured"
    assert len(model.spec.adc.transitions) == 63
    weights, x, y = run(model.spec, rng)
    assert np.corrcoef(y.ravel(), (x @ weights).ravel())[0, 1] > 0.9


def test_a_fitted_macro_is_a_converter_of_probabilities(measured, tmp_path, rng):
    model = modelled(measured(drawn.macro(rng, 1.0, 0.0, 1.0, sums=33)), tmp_path)
    adc = model.spec.adc
    assert (adc.kind, adc.bits, adc.lo, adc.hi) == ("measured", 6, 0.0, 63.0)
    np.testing.assert_allclose(np.sum(adc.probabilities, axis=1), 1)
    run(model.spec, rng)


def test_fitted_pulses_are_a_device_that_learns(measured, tmp_path, rng):
    model = modelled(measured(drawn.soft_bounds(rng, 6)), tmp_path, ["pulses.model=soft_bounds"])
    device = model.spec.cell.device
    assert device.kind == "soft_bounds"
    assert device.dw_min == pytest.approx(0.01 / 0.6, rel=0.3)
    assert device.up_down == pytest.approx(0.1, abs=0.06)


def test_read_noise_of_one_origin_is_drawn_once(measured, rng):
    series = 1 + drawn.coloured(rng, 6000, 1.0, 1e-5, 2e-7, 0.01)
    measurements = measured(ReadNoise(conductance=series[None] * 1e-5, interval=np.array(0.01)))
    found = fit(measurements)
    assert {"read_noise", "spectrum"} <= set(found.results)
    cell = device_model(found.results, measurements, "x").spec.cell
    floor = found.results["spectrum"]["floor"].value
    assert cell.white_noise.sigma.value == pytest.approx(np.sqrt(floor / 0.02))
    assert cell.flicker_noise is not None
    assert cell.telegraph_noise is None


def test_what_is_no_part_of_a_chip_gives_no_model(measured, rng):
    measurements = measured(drawn.powered(rng, 2000, 0.066, 0.0))
    with pytest.raises(FitError, match=r"nothing that was fitted .* is part of a device model"):
        device_model(fit(measurements).results, measurements, "x")


def test_a_result_makes_its_own_model(measured, rng):
    measurements = measured(drawn.by_polynomial(rng, drawn.PCM_SIGMA, 25.0, 500))
    result = fit(measurements).results["programming"]
    cell = result.to_model(measurements, "alone").spec.cell
    assert cell.programming is not None
    assert cell.g_max_S == pytest.approx(result.valid["g_high_S"])
    assert cell.drift is None  # nobody knows it: a later read is refused
    reads = measured(drawn.sonos_reads(rng, 40))
    for name, one in fit(reads, using=estimators(only=["read_noise", "telegraph"])).results.items():
        noisy = one.to_model(reads, "alone").spec.cell
        assert noisy.white_noise is not None, name
        assert noisy.g_max_S == pytest.approx(np.nanmax(reads.groups["read_noise"].conductance.mean(axis=1)))


def test_the_same_seed_gives_the_same_intervals(measured, rng):
    measurements = measured(drawn.by_polynomial(rng, drawn.PCM_SIGMA, 25.0, 300))
    using = estimators(["programming.mean=none", "programming.sigma=constant", "programming.law=normal"])
    one, two, other = (fit(measurements, seed, using=using).results["programming"] for seed in (0, 0, 1))
    assert one.parameters == two.parameters
    assert one.values == other.values
    assert [p.low for p in one.parameters] != [p.low for p in other.parameters]


def test_results_and_estimators_are_frozen(measured, rng):
    result = fit(measured(drawn.by_polynomial(rng, drawn.PCM_SIGMA, 25.0, 300))).results["programming"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.warnings = ()
    with pytest.raises(KeyError, match="nonsense: has "):
        result["nonsense"]
