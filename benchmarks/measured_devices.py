"""Fits of published measurements beside what is known of them: python -m benchmarks.measured_devices DATA.

DATA is the folder of the measurements, which are not part of the project. Prints the table of docs/measured.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from imcsim.fit import FitResult, estimators, fit
from imcsim.measurements import read_mapped

MAPS = Path(__file__).parents[1] / "docs" / "mappings"
Row = tuple[str, str, str, str]


def shown(result: FitResult, name: str, percent: bool = False) -> tuple[str, str]:
    """A parameter and its interval as text."""
    one = result[name]
    size, unit = (100, " %") if percent else (1, f" {one.unit}" if one.unit != "1" else "")
    known = one.low == one.low
    return f"{one.value * size:.3g}{unit}", f"{one.low * size:.3g} to {one.high * size:.3g}" if known else ""


def results(data: Path, file: str, mapping: str, only: str) -> FitResult:
    """One fit of one file."""
    measurements = read_mapped(data / f"{file}.h5", MAPS / f"{mapping}.toml")
    return fit(measurements, using=estimators(only=[only])).results[only]


def rows(data: Path) -> Iterator[Row]:
    """What was fitted, its interval, and what was expected."""
    spectrum = results(data, "levy_rram_relaxation_techA", "levy_rram_relaxation_techA", "spectrum")
    for k in range(5):
        value, interval = shown(spectrum, f"slope[{k}]")
        beta = shown(spectrum, f"beta[{k}]")[0]
        yield f"read noise of RRAM A, cell {k}: slope", f"{value} (beta over a floor: {beta})", interval, "-0.7 to -1.4"
    for name in ("A", "B"):
        file = f"levy_rram_relaxation_tech{name}"
        drift = results(data, file, file, "drift")
        told = [one for one in drift.parameters if one.name.startswith("spread of the change")]
        for plain, robust in zip(told[::2], told[1::2], strict=True):
            level = plain.name.removeprefix("spread of the change ")
            expected = "largest at low-mid conductance; robust well under it" if plain is told[0] else ""
            value = f"{plain.value:.3g} (robust {robust.value:.3g}) uS"
            yield f"relaxation of RRAM {name}, 1e4 s, {level}", value, f"{plain.low:.3g} to {plain.high:.3g}", expected
        heavy = any("heavy tails" in one for one in drift.warnings)
        yield f"relaxation of RRAM {name}: heavy tails", "told" if heavy else "not told", "", "heavy tails"
    radar = results(data, "levy_radar_rram", "levy_radar_rram", "programming")
    yield "write-verify of RRAM: success", *shown(radar, "success", True), "91 to 97 %"
    reads = results(data, "skywater_rram_reads", "skywater_rram_reads", "read_noise")
    yield "reads of SkyWater RRAM: sigma of a cell", *shown(reads, "sigma_rel", True), "3 to 6 %"
    yield "reads of SkyWater RRAM: white part", *shown(reads, "white_rel", True), "1.2 to 1.8 %"
    power = results(data, "sram_puf_uno", "sram_puf_uno", "power_up")
    yield "power-up of SRAM: noise over mismatch", *shown(power, "noise_over_mismatch"), "0.05 to 0.08"
    xnor = results(data, "imc_sram_chip_probs", "imc_sram_chip_probs_xnor", "mac")
    for chip in (10, 4, 6, 8):
        sigma, offset = shown(xnor, f"transition_sigma[{chip}]"), shown(xnor, f"offset[{chip}]")
        expected = {10: "sigma about 4, offset -13", 4: "pathological"}.get(chip, "sigma about 4")
        flagged = "; flagged" if any(one.startswith(f"chip {chip}: its thresholds") for one in xnor.warnings) else ""
        yield (
            f"XNOR-SRAM, chip {chip}: transition sigma, offset",
            f"{sigma[0]}, {offset[0]}{flagged}",
            sigma[1],
            expected,
        )
    macro = results(data, "imc_sram_chip_probs", "imc_sram_chip_probs_sum90", "mac")
    points = ("2.5 MHz", "5 MHz", "10 MHz", "40 MHz", "40 MHz, 25 C", "40 MHz, 50 C")
    for chip, point in enumerate(points):
        gain, sigma = shown(macro, f"gain[{chip}]"), shown(macro, f"output_sigma[{chip}]")
        text = f"{gain[0]}, {sigma[0]} ({sigma[1]})"
        yield f"second macro, {point}: gain, output sigma", text, gain[1], "0.96 to 1.00, 1.4 to 2.6"
    for chip in ("rp2040", "rp2350"):
        adc = results(data, "rp_sar_adc", f"rp_sar_adc_{chip}", "adc")
        count = 3 if chip == "rp2040" else 1
        for k in range(count):
            suffix = f"[{k}]" if count > 1 else ""
            spikes = [one for one in adc.warnings if "DNL spikes" in one and (count == 1 or f"chip {k}:" in one)]
            text = spikes[0].partition("codes ")[2] if spikes else "none"
            expected = "511, 1535, 2559, 3583 of 9 to 10 LSB" if chip == "rp2040" else "none"
            yield f"{chip.upper()}, chip {k}: DNL spikes", text, "", expected
            value, interval = shown(adc, f"noise{suffix}")
            codes = adc[f"code_sigma{suffix}"].value
            text = f"{value} (codes of one input: {codes:.2f})"
            yield f"{chip.upper()}, chip {k}: noise", text, interval, "0.55 to 0.63 rms"
    spread = results(data, "ropuf_spartan3e", "ropuf_spartan3e", "spread")
    known = {"die_rel": "6.1 %", "random_rel": "0.61 %", "place_rel": "0.44 %", "repeat_rel": "0.025 %"}
    for name, expected in known.items():
        yield f"ring oscillators: {spread[name].what}", *shown(spread, name, True), expected
    pulses = results(data, "crosssim_reram_updates", "crosssim_reram_updates", "pulses")
    noise = shown(pulses, "cycle_sigma_rel")
    yield "pulses of ReRAM (CrossSim's set): model, noise of a step", f"{pulses.estimator}, {noise[0]}", noise[1], ""


def main() -> None:
    """Print the table."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    print("| what | fitted | 95 % interval | known |\n|---|---|---|---|")
    for row in rows(Path(sys.argv[1])):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
