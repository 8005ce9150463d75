"""Published measurements, each through its mapping of docs/mappings, where $IMCSIM_DATA has them."""

import os
from pathlib import Path

import numpy as np
import pytest

from imcsim.measurements import read_mapped

MAPPINGS = Path(__file__).parents[2] / "docs" / "mappings"
if not MAPPINGS.is_dir():
    pytest.skip("the mappings are not part of this copy", allow_module_level=True)

FILE_OF = {
    "crosssim_reram_updates": "crosssim_reram_updates",
    "gong_reram_pulses": "gong_reram_pulses",
    "imc_sram_chip_probs_sum90": "imc_sram_chip_probs",
    "imc_sram_chip_probs_xnor": "imc_sram_chip_probs",
    "levy_radar_rram": "levy_radar_rram",
    "levy_rram_relaxation_techA": "levy_rram_relaxation_techA",
    "levy_rram_relaxation_techB": "levy_rram_relaxation_techB",
    "ropuf_spartan3e": "ropuf_spartan3e",
    "rp_sar_adc_rp2040": "rp_sar_adc",
    "rp_sar_adc_rp2350": "rp_sar_adc",
    "skywater_rram_reads": "skywater_rram_reads",
    "skywater_rram_reads_20_40": "skywater_rram_reads",
    "sram_puf_uno": "sram_puf_uno",
}


@pytest.fixture
def mapped():
    """The groups of a file, by the name of its mapping."""

    def call(mapping):
        path = Path(os.environ.get("IMCSIM_DATA", ""), "devices", f"{FILE_OF[mapping]}.h5")
        if not os.environ.get("IMCSIM_DATA") or not path.is_file():
            pytest.skip(f"devices/{path.name} is not in $IMCSIM_DATA")
        return read_mapped(path, MAPPINGS / f"{mapping}.toml").groups

    return call


@pytest.mark.parametrize(("name", "cells"), [("techA", 16384), ("techB", 7981)])
def test_relaxation_of_rram(name, cells, mapped):
    drift = mapped(f"levy_rram_relaxation_{name}")["drift"]
    assert drift.conductance.shape == drift.time.shape == (cells, 7)
    np.testing.assert_array_equal(np.isnan(drift.conductance), np.isnan(drift.time))
    np.testing.assert_allclose(np.nanmedian(drift.time, axis=0), [0, 0.01, 0.1, 1, 100, 1e3, 1e4], rtol=0.2)
    assert len(np.unique(drift.device)) == cells


def test_read_noise_of_rram(mapped):
    noise = mapped("levy_rram_relaxation_techA")["read_noise"]
    assert noise.conductance.shape == (5, 100_000)
    assert 1 / noise.interval == pytest.approx(400)


def test_windows_of_rram_are_hit_where_the_file_says_so(mapped):
    writes = mapped("levy_radar_rram")["program_verify"]
    within = ~(writes.conductance < writes.low) & ~(writes.conductance > writes.high)  # NaN: open
    assert writes.success.mean() == pytest.approx(0.94, abs=0.04)
    assert np.mean(within == (writes.success == 1)) > 0.99
    assert writes.pulses.min() >= 0
    assert np.isnan(writes.high).mean() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(("mapping", "shape"), [("", (606, 2001)), ("_20_40", (156, 501))])
def test_reads_of_skywater_rram(mapping, shape, mapped):
    noise = mapped(f"skywater_rram_reads{mapping}")["read_noise"]
    assert noise.conductance.shape == shape
    assert noise.interval is None
    assert 1e-6 < np.median(noise.conductance) < 1e-4


def test_power_ups_of_sram(mapped):
    found = mapped("sram_puf_uno")["power_up"]
    assert found.majority.shape == (10, 128, 64)
    assert (found.majority == 15).mean() == pytest.approx(74494 / 81920)


def test_transfer_of_the_xnor_macro(mapped):
    found = mapped("imc_sram_chip_probs_xnor")["mac_transfer"]
    assert found.probability.shape == (4, 257, 11)
    np.testing.assert_array_equal(found.ideal_sum, np.arange(-256, 257, 2))
    means = (found.probability * found.code_value).sum(axis=-1)[2]
    assert np.corrcoef(means, np.clip(found.ideal_sum, -60, 60))[0, 1] > 0.99


def test_transfer_of_the_other_macro(mapped):
    found = mapped("imc_sram_chip_probs_sum90")["mac_transfer"]
    assert found.probability.shape == (6, 91, 91)
    assert found.observations.shape == (6, 91)
    means = (found.probability * np.arange(91)).sum(axis=-1)
    for chip in means:
        assert np.polyfit(found.ideal_sum, chip, 1)[0] == pytest.approx(0.98, abs=0.03)


@pytest.mark.parametrize(("chip", "count"), [("rp2040", 3), ("rp2350", 1)])
def test_transfer_of_a_sar_adc(chip, count, mapped):
    found = mapped(f"rp_sar_adc_{chip}")["adc_transfer"]
    assert found.code.shape == (count, 32768, 12)
    assert found.bits == 12
    assert np.polyfit(found.input, found.code[0].mean(axis=-1), 1)[0] == pytest.approx(1 / 8, rel=0.02)


def test_pulses_up_and_down(mapped):
    found = mapped("gong_reram_pulses")["pulse_response"]
    assert found.unit == "1"
    assert found.conductance.shape == (2, 1000)
    assert np.sign(found.conductance[:, -1] - found.conductance[:, 0]).tolist() == found.direction.tolist() == [1, -1]


def test_ramps_of_set_and_reset_pulses(mapped):
    found = mapped("crosssim_reram_updates")["pulse_response"]
    assert found.conductance.shape == (79, 192)
    last = np.array([row[np.isfinite(row)][-1] for row in found.conductance])
    np.testing.assert_array_equal(np.sign(last - found.conductance[:, 0]), found.direction)


def test_frequencies_of_ring_oscillators(mapped):
    found = mapped("ropuf_spartan3e")["spread"]
    assert (found.unit, found.mean.shape, int(found.repeats)) == ("Hz", (193, 512), 100)
    of_dies = found.mean.mean(axis=1)
    assert of_dies.std() / of_dies.mean() == pytest.approx(0.061, abs=0.002)


def test_every_mapping_has_its_file():
    assert {path.stem for path in MAPPINGS.glob("*.toml")} == FILE_OF.keys()
