"""`python -m docs.validation`: compares the emulator with closed forms, for docs/validation.md.

Writes docs/validation.csv and docs/validation_*.png, prints the page's table, and fails where a point is off by more
than its tolerance.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from docs.validation import columns, converters, devices, pulses, wires
from docs.validation.figures import draw
from docs.validation.points import read, summary, write

FOLDER = Path(__file__).parents[1]
COMPARISONS = (
    converters.sqnr,
    converters.inl,
    converters.inl_correlation,
    columns.read_noise,
    columns.read_noise_one_shot,
    columns.mismatch,
    columns.compute_snr,
    columns.droop,
    columns.load,
    devices.writes,
    devices.spreads,
    devices.flicker,
    devices.telegraph,
    devices.exponents,
    devices.drift,
    wires.profile,
    wires.topologies,
    pulses.responses,
    pulses.updates,
)


def main() -> int:
    """0 where all points agree, else 1."""
    found = []
    for compare in COMPARISONS:
        start = time.perf_counter()
        found += list(compare())
        sys.stderr.write(f"{compare.__name__}: {time.perf_counter() - start:.1f} s\n")
    write(found, FOLDER / "validation.csv")
    points = read(FOLDER / "validation.csv")  # as the CSV has them, so that whoever reads it finds the same table
    draw(points, FOLDER)
    sys.stdout.write("\n".join(summary(points)) + "\n")
    return int(any(point.off > 1 for point in points))


sys.exit(main())
