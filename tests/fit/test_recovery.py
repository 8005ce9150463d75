"""Data drawn from published models: every parameter comes back, within five of its standard errors."""

from __future__ import annotations

import drawn
import numpy as np
import pytest
from drawn import polynomial

import imcsim
from imcsim.fit import (
    AdcFit,
    DriftFit,
    MacFit,
    PowerUpFit,
    ProgrammingFit,
    PulseFit,
    ReadNoiseFit,
    SpectrumFit,
    TelegraphFit,
)
from imcsim.measurements import MacTransfer, ReadNoise
from imcsim.specs.adc import IdealADC


@pytest.fixture
def rng():
    return np.random.default_rng(20261123)


def recovered(result, expected, standard_errors=5.0):
    """All of them, and the negative control: three times as much, or zero where it is zero, would not pass for all."""
    for name, value in expected.items():
        one = result[name]
        assert one.within(value, standard_errors), f"{name}: {one.value:.5g} +- {one.se:.2g}, not {value:.5g}"
        assert one.low < one.value < one.high
    assert not all(result[name].within(1.5 * value + 3 * result[name].se, 3) for name, value in expected.items())


def coefficients(prefix, values):
    return {f"{prefix}.{'x' + str(k) if k else 1}": value for k, value in enumerate(values)}


@pytest.mark.parametrize(
    ("sigma", "g_max_uS", "low"),
    [(drawn.PCM_SIGMA, 25.0, 0.0), (drawn.HERMES_SIGMA, 10.35, 0.0), (drawn.WAN_SIGMAS[0], 40.0, 0.0)],
    ids=["pcm", "hermes", "wan"],
)
def test_the_programming_error_of_published_polynomials(rng, sigma, g_max_uS, low):
    data = drawn.by_polynomial(rng, sigma, g_max_uS, 4000, low)
    fit = ProgrammingFit(
        mean="none", sigma="polynomial", sigma_degree=len(sigma) - 1, law="normal", state_unit_S=g_max_uS * 1e-6
    )
    recovered(fit.fit(data, rng), coefficients("sigma", sigma))


def test_the_programming_error_of_cmo_reram(rng):
    target = rng.uniform(5, 90, 3000)
    data = drawn.writes(rng, polynomial(target, drawn.CMO_SIGMA), target)
    fit = ProgrammingFit(mean="none", sigma="polynomial", sigma_degree=1, law="normal", state_unit_S=1e-6)
    recovered(fit.fit(data, rng), coefficients("sigma", drawn.CMO_SIGMA))


def test_the_programming_error_of_sonos_and_its_law(rng):
    target = rng.choice(np.linspace(5, 1600, 32), 3000)
    sigma = drawn.SONOS_SIGMA[0] * -np.expm1(-target / drawn.SONOS_SIGMA[1])
    normal = ProgrammingFit(state_unit_S=1e-6).fit(drawn.writes(rng, sigma, target), rng)
    recovered(normal, {"sigma.amplitude": drawn.SONOS_SIGMA[0], "sigma.scale": drawn.SONOS_SIGMA[1]})
    assert normal.components["cell.programming"].law == "normal"
    heavy = ProgrammingFit(state_unit_S=1e-6, mean="none", sigma="exponential").fit(
        drawn.writes(rng, sigma, target, "student_t"), rng
    )
    recovered(heavy, {"degrees_of_freedom": 5.0, "sigma.amplitude": drawn.SONOS_SIGMA[0]})


def test_the_drift_of_pcm(rng):
    fit = DriftFit(law="power", nu_mean="logarithmic", nu_sigma="logarithmic", nu_law="folded", state_unit_S=25e-6)
    expected = {"nu_mean.offset": 0.0244, "nu_mean.slope": -0.0155, "nu_mean.floor": 0.049}
    expected |= {"nu_sigma.offset": -0.0059, "nu_sigma.slope": -0.0125, "nu_sigma.floor": 0.008}
    recovered(fit.fit(drawn.pcm_drift(rng, 2000), rng), expected)


def test_the_drift_of_cmo_reram_is_recognised(rng):
    result = DriftFit().fit(drawn.cmo_drift(rng, 600), rng)
    assert result.components["cell.drift"].kind == "logarithmic"
    recovered(result, {"mean_slope": -0.0890, "sigma": 0.4118, "sigma_slope": 0.0420})


def test_the_relaxation_of_wan(rng):
    result = DriftFit(law="table", degree=4, state_unit_S=40e-6).fit(drawn.wan_drift(rng, 4000), rng)
    for time, sigma in zip(("1s", "8.64e+04s", "1.73e+05s"), drawn.WAN_SIGMAS, strict=True):
        recovered(result, coefficients(f"sigma@{time}", sigma))


def test_the_variance_that_grows_with_the_logarithm_of_time(rng):
    result = DriftFit(law="relaxation", degree=1, state_unit_S=200e-6, t0_s=1.0).fit(drawn.relaxing(rng, 2000), rng)
    recovered(result, {**coefficients("c1", (4.0, 6.0)), **coefficients("c2", (10.0, 5.0))})


def test_the_read_noise_of_sonos(rng):
    result = ReadNoiseFit(state_unit_S=1e-6).fit(drawn.sonos_reads(rng, 80), rng)
    recovered(result, {"sigma.amplitude": drawn.SONOS_READS[0], "sigma.scale": drawn.SONOS_READS[1]})


@pytest.mark.parametrize("beta", [0.8, 1.0, 1.3])
def test_the_exponent_and_the_floor_of_a_spectrum(rng, beta):
    series = 1 + drawn.coloured(rng, 20_000, beta, 1e-6, 2e-7, 0.01)
    data = ReadNoise(conductance=series[None] * 1e-5, interval=np.array(0.01))
    result = SpectrumFit().fit(data, rng)
    middle = np.sqrt(1 / 200 * 50)  # of the frequencies, Hz
    recovered(result, {"beta": beta, "floor": 2e-7, "level": 1e-6 * middle**-beta})


@pytest.mark.parametrize("traps", [((1.0, 5.0, 12.0),), ((1.0, 5.0, 12.0), (0.5, 0.7, 1.0))], ids=["one", "two"])
def test_the_traps_of_telegraph_noise(rng, traps):
    result = TelegraphFit().fit(drawn.telegraph(rng, 10_000, traps, 0.15, 0.01), rng)
    expected = {"base": 10.0, "sigma": 0.15}
    for k, (amplitude, up, down) in enumerate(traps):
        name = f"trap{k + 1}" if len(traps) > 1 else "trap"
        expected |= {f"{name}.amplitude": amplitude, f"{name}.up": up, f"{name}.down": down}
    recovered(result, expected)


def test_normal_noise_has_no_trap(rng):
    data = ReadNoise(conductance=(10 + 0.1 * rng.standard_normal((3, 3000))) * 1e-6)
    assert TelegraphFit().fit(data, rng)["cells_with_traps"].value == 0


def test_the_transitions_of_a_sar_converter(rng):
    data, transitions = drawn.converter(rng, 8, 0.4, weights_sigma=0.1)
    result = AdcFit().fit(data, rng)
    fitted = np.array(result.components["adc"].transitions) * result["lsb"].value + result["offset"].value
    np.testing.assert_allclose(fitted[1:-1], np.sort(transitions)[1:-1], atol=0.25)  # five standard errors of the worst
    assert result["noise"].within(0.4 / result["lsb"].value)
    assert not result["noise"].within(0.45)


def test_the_gain_the_offset_and_the_noise_of_a_macro(rng):
    result = MacFit().fit(drawn.macro(rng, 0.97, 1.5, 2.0), rng)
    recovered(result, {"gain": 0.97, "offset": 1.5})
    assert result["transition_sigma"].value == pytest.approx(2.0 / 0.97, rel=0.05)
    assert abs(result["curvature"].value) < 5 * result["curvature"].se


def test_noise_over_mismatch_of_power_ups(rng):
    result = PowerUpFit().fit(drawn.powered(rng, 20_000, 0.066, 0.2), rng)
    recovered(result, {"noise_over_mismatch": 0.066, "bias": 0.2})
    assert result.goodness["chi-square p of the counts"] > 1e-4


def test_soft_bounds_pulses_and_their_spreads(rng):
    result = PulseFit(model="soft_bounds").fit(drawn.soft_bounds(rng, 32), rng)
    expected = {"step_up": 0.011, "step_down": 0.009, "cycle_sigma_rel": 0.3, "write_noise": 0.005}
    expected |= {"low": -0.6, "high": 0.6, "w_max_dtod_rel": 0.1, "w_min_dtod_rel": 0.1}
    expected |= {"up_down": 0.1, "dw_min_dtod_rel": 0.2, "up_down_dtod": 0.05}
    recovered(result, expected)


def answers(rng, device, changes, reads=400):
    """What a column of 64 ones of a chip answers to sums from 0 to 64, read again and again; and without any noise."""
    base = {"array": {"rows": 64, "cols": 1, "weight_bits": 1, "mapping": "offset"}, "dac": {"bits": 1}}
    converter = {"kind": "uniform", "bits": 7, "range": "given", "lo": 0.0, "hi": 127.0}
    sums = np.arange(65)
    inputs = (np.arange(64) < sums[:, None]).astype(float)

    def read(spec, times):
        crossbar = imcsim.manufacture(spec, (64, 1), 1).program(np.ones((64, 1)), rng).calibrate(inputs)
        # +1 is stored as 1, and the product is twice the column less the inputs
        return np.stack([(crossbar.mvm(inputs, rng)[:, 0] + sums) / 2 for _ in range(times)], axis=1)

    noisy = imcsim.overlay(imcsim.overlay(imcsim.load(device), {**base, "adc": converter}), changes)
    quiet = noisy.replace("adc", IdealADC())
    if hasattr(quiet.cell, "read_noise_rel"):
        quiet = quiet.replace("cell.read_noise_rel", 0.0)
    if hasattr(quiet.cell, "sigma_t_pulse_s"):
        quiet = quiet.replace("cell.sigma_t_pulse_s", 0.0)
    code = np.rint(read(noisy, reads)).astype(int)
    return MacTransfer(ideal_sum=sums.astype(float), code=code, code_value=np.arange(128.0)), read(quiet, 1)[:, 0]


def test_the_column_of_an_sram_that_discharges_its_bit_line(rng):
    """Droop bends it, mismatch of its cells moves it, read noise of each cell that conducts spreads it."""
    data, quiet = answers(rng, "sram8t_65nm", {"cell": {"read_noise_rel": 0.3, "sigma_t_pulse_s": 0.0}})
    result = MacFit().fit(data, rng)
    sums = np.arange(5, 60)
    error = 0.3 * np.sqrt(sums / 400)
    np.testing.assert_array_less(np.abs(result.predict(sums) - quiet[sums]), 5 * error)
    middles = np.arange(np.ceil(quiet[-1]) - 1) + 0.5
    line = np.polyfit(np.interp(middles, quiet, np.arange(65)), middles, 1)
    assert result["gain"].value == pytest.approx(line[0], rel=5e-3)
    assert result["gain"].value < 0.99  # the line droops: a straight sum would have 1
    assert result["transition_sigma"].value == pytest.approx(0.3 * np.sqrt(30), rel=0.15)


def test_the_column_of_an_sram_that_shares_charge(rng):
    data, quiet = answers(rng, "sram_cap_28nm", {"adc": {"noise_lsb": 1.5}}, 200)
    result = MacFit().fit(data, rng)
    sums = np.arange(8, 57)
    np.testing.assert_array_less(np.abs(result.predict(sums) - quiet[sums]), 5 * 1.5 / np.sqrt(200))
    recovered(result, {"gain": float(np.polyfit(np.arange(8, 57), quiet[8:57], 1)[0])})
    assert result["transition_sigma"].value == pytest.approx(1.5, rel=0.05)
