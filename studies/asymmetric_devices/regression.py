"""A linear regression on pulsed devices whose pulses up and down differ: what plain pulsed learning and schemes reach.

`python -m studies.asymmetric_devices.regression` tunes every scheme alike, at the largest asymmetry and on seeds of
their own, and writes regression.csv beside itself: the error of the weights by scheme and asymmetry. `--search` prints
how chopped Tiki-Taka without reference does over its options.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imcsim.compound import compound
from imcsim.manufacturing import manufacture
from imcsim.rng import child, draw_key
from imcsim.specs.adc import IdealADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.chip import ChipSpec
from imcsim.specs.compound import ChoppedTikiTaka, Compound, MixedPrecision, TikiTaka, TikiTakaV2
from imcsim.specs.dac import IdealDAC
from imcsim.specs.pulsed import PulsedCell, SoftBoundsDevice
from imcsim.updates import Outer

Array = np.ndarray[Any, Any]

SHAPE, BATCH, STEPS, LABEL_NOISE = (20, 5), 10, 600, 0.3
ASYMMETRIES = (0.0, 0.1, 0.3)
TUNING, SEEDS = range(100, 102), range(5)
RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
TRANSFER_RATES = (0.01, 0.03, 0.1)
CHOPPER_PROBABILITIES = (0.02, 0.1)


def grid_of(kind: type[TikiTaka] | type[TikiTakaV2], reference: str, **others: Sequence[Any]) -> list[Compound]:
    """The options of a scheme that tuning tries."""
    options = {"transfer_rate": TRANSFER_RATES, **others}
    values = (dict(zip(options, chosen, strict=True)) for chosen in itertools.product(*options.values()))
    return [kind(reference=reference, **told) for told in values]  # type: ignore[arg-type]


DIGITAL = "digital"
CHOPPERS = {"chopper_probability": CHOPPER_PROBABILITIES}
SCHEMES: dict[str, Sequence[Compound | str | None]] = {
    "digital, float": [DIGITAL],
    "pulsed SGD": [None],
    "mixed precision": [MixedPrecision()],
    "Tiki-Taka": grid_of(TikiTaka, "exact"),
    "Tiki-Taka v2": grid_of(TikiTakaV2, "exact"),
    "chopped Tiki-Taka v2": grid_of(ChoppedTikiTaka, "exact", **CHOPPERS),
    "Tiki-Taka, no reference": grid_of(TikiTaka, "none"),
    "Tiki-Taka v2, no reference": grid_of(TikiTakaV2, "none"),
    "chopped Tiki-Taka v2, no reference": grid_of(ChoppedTikiTaka, "none", **CHOPPERS),
}


def chip(asymmetry: float) -> ChipSpec:
    """Arrays of soft-bounds devices whose asymmetry spreads by so much, read ideally: 400 steps from -1 to 1."""
    device = SoftBoundsDevice(
        dw_min=0.005, w_min=-1, w_max=1, up_down_dtod=asymmetry, dw_min_dtod_rel=0.3, cycle_sigma_rel=0.3
    )
    array = ArraySpec(
        rows=32, cols=32, subtraction="analog", weight_bits=8, cell_bits=7, weight_scale="given", weight_limit=1.0
    )
    return ChipSpec(cell=PulsedCell(device=device), array=array, dac=IdealDAC(signed=True), adc=IdealADC())


def errors(
    scheme: Compound | str | None, asymmetry: float, rates: Sequence[float], seeds: Sequence[int], steps: int = STEPS
) -> Array:
    """The RMS error of the weights over the last sixth of the steps, (rates, seeds): all of them are one ensemble.

    A seed has its wanted weights, samples and devices, whatever learns and how fast. `scheme`: a compound array, None
    for one pulsed array, or DIGITAL.
    """
    rate = np.repeat(rates, len(seeds))[:, None, None]
    wanted = np.stack([child(seed, "wanted").uniform(-0.5, 0.5, SHAPE) for seed in seeds])
    data, pulses = [child(seed, "data") for seed in seeds], child(seeds[0], "pulses")
    keys = [draw_key(child(seed, "die")) for seed in seeds] * len(rates)
    target, zeros = np.tile(wanted, (len(rates), 1, 1)), np.zeros(SHAPE)
    array: Any = zeros
    if scheme is None:
        array = manufacture(chip(asymmetry), SHAPE, keys).program(zeros, pulses)
    elif not isinstance(scheme, str):
        array = compound(chip(asymmetry), scheme, SHAPE, keys).program(zeros, pulses)
    squares = np.zeros(len(target))
    counted = range(steps - steps // 6, steps)
    for step in range(steps):
        x = np.tile(np.stack([one.normal(size=(BATCH, SHAPE[0])) for one in data]), (len(rates), 1, 1))
        noise = np.stack([one.normal(0, LABEL_NOISE, (BATCH, SHAPE[1])) for one in data])
        weights = array if scheme == DIGITAL else getattr(array, "slow", array).held.states
        if step in counted:
            squares += np.square(weights - target).mean(axis=(1, 2))
        delta = rate * (x @ (target - weights) + np.tile(noise, (len(rates), 1, 1)))
        # the gradient of the squared error, summed over the batch
        array = array + x.swapaxes(1, 2) @ delta if scheme == DIGITAL else array.write(Outer(x, delta), pulses)
    return np.sqrt(squares / len(counted)).reshape(len(rates), len(seeds))


def tuned(tried: Sequence[Compound | str | None], asymmetry: float) -> tuple[Compound | str | None, float]:
    """The options and the learning rate with the least mean error on the tuning seeds."""
    found = []
    for scheme in tried:
        with np.errstate(over="ignore", invalid="ignore"):  # of rates at which float weights diverge
            means = np.nan_to_num(errors(scheme, asymmetry, RATES, TUNING).mean(axis=1), nan=np.inf)
        best = int(np.argmin(means))
        found.append((float(means[best]), RATES[best], scheme))
    _, rate, scheme = min(found, key=lambda one: one[0])
    return scheme, rate


def options_of(scheme: Compound | str | None) -> str:
    """What was chosen, as text."""
    if not isinstance(scheme, TikiTaka | TikiTakaV2):
        return ""
    told = {name: getattr(scheme, name) for name in ("transfer_rate", "chopper_probability") if hasattr(scheme, name)}
    return " ".join(f"{name}={value:g}" for name, value in told.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--search", action="store_true", help="chopped Tiki-Taka without reference, by its options")
    if parser.parse_args().search:
        search()
        return
    with (Path(__file__).parent / "regression.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["scheme", "asymmetry", "learning_rate", "options", "rms_error", "sd_of_seeds", "seeds"])
        for name, tried in SCHEMES.items():
            scheme, rate = tuned(tried, ASYMMETRIES[-1])
            for asymmetry in ASYMMETRIES:
                found = errors(scheme, asymmetry, [rate], SEEDS)[0]
                row = [name, asymmetry, rate, options_of(scheme), f"{found.mean():.4f}", f"{found.std(ddof=1):.4f}"]
                table.writerow([*row, len(SEEDS)])
                file.flush()
                sys.stdout.write(" ".join(map(str, row)) + "\n")
                sys.stdout.flush()


def search() -> None:
    """Chopped Tiki-Taka without reference on devices of the largest asymmetry, on the tuning seeds."""
    base = ChoppedTikiTaka(transfer_rate=0.01, reference="none")
    tried = {
        "transfer_rate": (0.001, 0.003, 0.01, 0.03),
        "chopper_probability": (0.01, 0.03, 0.1, 0.3, 1.0),
        "threshold": (0.1, 10.0),
        "kept": (0.1, 0.5),
        "transfer_every": (5,),
        "most_pulses": (10,),
    }
    for name, values in tried.items():
        for value in values:
            scheme = dataclasses.replace(base, **{name: value})
            means = errors(scheme, ASYMMETRIES[-1], RATES, TUNING).mean(axis=1)
            sys.stdout.write(f"{name} {value} {np.round(means, 4).tolist()}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
