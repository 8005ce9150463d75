"""Digits on a chip whose converter is a measured SRAM macro, at each of its operating points, beside the ideal.

    python studies/measured_macro/study.py DATA [--quick]

DATA is the folder with imc_sram_chip_probs.h5, which is not part of the project: the tables are fitted anew, and what
is made of them stays in results/measured_macro.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from imcsim.cli import main as imcsim
from imcsim.fit import device_model, estimators, fit
from imcsim.measurements import read_mapped

HERE = Path(__file__).parent
MAP = HERE.parents[1] / "docs" / "mappings" / "imc_sram_chip_probs_sum90.toml"
POINTS = ("2.5 MHz", "5 MHz", "10 MHz", "40 MHz", "40 MHz, 25 C", "40 MHz, 50 C")  # as the map stacks them
IDEAL = """
name = "ideal"
title = "the sum itself"

[cell]
kind = "sram"

[array]
rows = { value = 90, source = "the macro" }

[dac]
kind = "bit_serial"
input_scale = "mse"
out_of_range = "clip"

[adc]
kind = "uniform"
bits = { value = 7, source = "91 sums and more" }
range = "given"
lo = { value = 0.0, unit = "MAC units", source = "a code a sum" }
hi = { value = 127.0, unit = "MAC units", source = "a code a sum" }
"""


def write_models(data: Path, folder: Path) -> None:
    """A device model of each operating point, its converter the probabilities that were measured there."""
    measurements = read_mapped(data / "imc_sram_chip_probs.h5", MAP)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ideal.toml").write_text(IDEAL)
    for k, name in enumerate(POINTS):
        found = fit(measurements, using=estimators([f"mac.chip={k}"], ["mac"]))
        model = device_model(found.results, measurements, name, "sram_ideal")
        (folder / f"{name}.toml").write_text(model.to_toml())


def main() -> int:
    """Fit, run the study on what was fitted, and put the figure beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    results = Path("results/measured_macro")
    write_models(options.data, results / "models")
    study = results / "study.toml"
    shutil.copy(HERE / "study.toml", study)
    out = results / ("quick" if options.quick else "found")
    code = imcsim(["run", str(study), "--out", str(out), *(["--quick"] if options.quick else [])])
    if code == 0 and not options.quick:
        for name in ("accuracy_vs_bits.png", "accuracy_vs_bits.svg"):
            shutil.copy(out / name, HERE / name)
        shutil.copy(out / "accuracy_vs_bits.csv", HERE / "accuracy_vs_bits.csv")
    return code


if __name__ == "__main__":
    sys.exit(main())
