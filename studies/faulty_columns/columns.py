"""Faulty columns of a hidden layer: which ways of looking at activations say where they are.

`python -m studies.faulty_columns.columns` trains networks on digits, puts each on dies, breaks one column of the hidden
layer or four, and writes recovery.csv beside itself: how often each way puts just those first. `--plot` draws
recovery.png from it.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imcsim.datasets import DataSet, load
from imcsim.diagnose import perturbed_nodes
from imcsim.faults import dead_column, stuck_adc, wrong_gain
from imcsim.network.mlp import MLP, NetworkSpec, initial_mlp
from imcsim.network.on_chip import ChipNetwork, calibrate, manufactured_network
from imcsim.rng import child, draw_key
from imcsim.specs import library
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import overlay
from imcsim.training import TrainingSpec, train

Array = np.ndarray[Any, Any]

HERE = Path(__file__).parent
UNITS, NETWORKS, DRAWS = 32, 4, 20
SAMPLES = (50, 200, 800)
REFERENCES = ("the same die, before", "another die")


class Fault(NamedTuple):
    """A kind of fault and how severe it is; `plant` breaks a column of a layer, `replace` what is read of one.

    `columns` is how many are broken at once.
    """

    kind: str
    severity: str
    plant: Callable[[Any, int, np.random.Generator], Any] | None = None
    replace: Callable[[Array, np.random.Generator], Array] | None = None
    columns: int = 1


def stuck(slices: list[int]) -> Callable[[Any, int, np.random.Generator], Any]:
    """The ADCs of slices of the positive cells, stuck at any of their codes."""

    def plant(layer: Any, column: int, rng: np.random.Generator) -> Any:
        code = int(rng.integers(0, layer.ranges[0].max_code + 1))
        return stuck_adc(layer, column, code, polarities=[0], slices=slices)

    return plant


def dead(polarities: list[int], slices: list[int]) -> Callable[[Any, int, np.random.Generator], Any]:
    """The bit lines of slices are open."""
    return lambda layer, column, _: dead_column(layer, column, polarities=polarities, slices=slices)


def gain(factor: float) -> Callable[[Any, int, np.random.Generator], Any]:
    """All ADCs of the column have a gain of their own."""
    return lambda layer, column, _: wrong_gain(layer, column, factor)


def noisy(share: float) -> Callable[[Array, np.random.Generator], Array]:
    """Sums (samples,) of which a share of the variance is noise: mean and variance stay as they are."""

    def replace(z: Array, rng: np.random.Generator) -> Array:
        signal, noise = z - z.mean(), z.std() * rng.standard_normal(z.shape)
        return np.asarray(z.mean() + np.sqrt(1 - share) * signal + np.sqrt(share) * noise)

    return replace


FAULTS = (
    Fault("none", ""),
    *(Fault("stuck ADC", f"bit {bit}", stuck([bit])) for bit in (2, 3, 4)),
    Fault("dead column", "bit 3", dead([0], [3])),
    Fault("dead column", "bit 4", dead([0], [4])),
    Fault("dead column", "all", dead([0, 1], [0, 1, 2, 3, 4])),
    *(Fault("gain", f"x {factor}", gain(factor)) for factor in (1.1, 1.25, 1.5, 2.0)),
    *(Fault("noise", f"{share:.0%}", replace=noisy(share)) for share in (0.25, 0.5, 1.0)),
    *(Fault("noise in 4 columns", f"{share:.0%}", replace=noisy(share), columns=4) for share in (0.5, 1.0)),
)


def chip() -> ChipSpec:
    """Weights of 6 bits in single cells, 14 % of mismatch, the pairs subtracted digitally, 8 bits of ADC."""
    return overlay(library.load("sram8t_65nm"), {"array": {"weight_bits": 6}, "dac": {"signed": True}})


def trained(data: DataSet, seed: int) -> MLP:
    start = initial_mlp(
        NetworkSpec(hidden=(UNITS,), activation="tanh"), data.x_train.shape[1], 10, child(seed, "start")
    )
    spec = TrainingSpec(epochs=20, batch_size=50, learning_rate=3e-3, optimizer="adam")
    return train(start, data, spec, child(seed, "train")).mlp


def on_die(mlp: MLP, data: DataSet, key: int) -> ChipNetwork:
    """The network on the die of a key, calibrated there."""
    network = manufactured_network(mlp, chip(), key, child(key, "program"))
    return calibrate(network, data.x_train[:256], child(key, "calibrate"))


def activations(
    network: ChipNetwork, x: Array, key: int, fault: Fault, units: list[int], rng: np.random.Generator
) -> Array:
    """The hidden layer's outputs (samples, units) with some units broken."""
    if fault.plant is not None:
        for unit in units:
            network = network.with_layer(0, fault.plant(network.layers[0], unit, rng))
    z = network.sums(0, x, key, 0.0)
    if fault.replace is not None:
        for unit in units:
            z[:, unit] = fault.replace(z[:, unit], rng)
    return network.outputs(0, z)


# What each way makes of activations of both chips (samples, units): a score a unit, the largest that of the suspect.


def by_means(a: Array, b: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(a.mean(axis=0) - b.mean(axis=0)) / np.sqrt(a.var(axis=0) / len(a) + b.var(axis=0) / len(b))


def by_variances(a: Array, b: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.abs(np.log(a.var(axis=0) / b.var(axis=0)))


def by_covariances(a: Array, b: Array) -> Array:
    scale = a.std(axis=0)
    return np.linalg.norm(np.cov((a / scale).T) - np.cov((b / scale).T), axis=0)


def by_correlations(a: Array, b: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.linalg.norm(np.nan_to_num(np.corrcoef(a.T)) - np.nan_to_num(np.corrcoef(b.T)), axis=0)


def by_pairs(a: Array, b: Array) -> Array:
    """Of the same samples through both chips."""
    return np.square(a - b).mean(axis=0) / a.var(axis=0)


SIMPLE = {"means": by_means, "variances": by_variances, "covariances": by_covariances, "correlations": by_correlations}
LASSO, PAIRS = "perturbed nodes", "same samples"


class Outcome(NamedTuple):
    """Whether a way put just the broken units first; of the lasso, whether all were found, and how many others."""

    way: str
    first: bool
    found: bool | None = None
    others: int | None = None


def outcomes(healthy: Array, broken: Array, paired: Array, units: list[int]) -> Iterator[Outcome]:
    lasso, wanted = perturbed_nodes(healthy, broken), set(units)
    found = wanted <= set(lasso.found)
    first = found and set(lasso.ranking[: len(units)]) == wanted
    yield Outcome(LASSO, first, found, len(set(lasso.found) - wanted))
    scores = {way: score(healthy, broken) for way, score in SIMPLE.items()} | {PAIRS: by_pairs(healthy, paired)}
    for way, score in scores.items():
        yield Outcome(way, set(np.argsort(-score)[: len(units)].tolist()) == wanted)


def draws(fault: Fault, networks: list[MLP], data: DataSet, x: Array) -> Iterator[tuple[str, int, Outcome]]:
    """(reference, samples, outcome) of every draw: of network, dies, units and samples."""
    for draw in range(DRAWS):
        rng = child(draw, "draw")
        units, mlp = rng.choice(UNITS, fault.columns, replace=False).tolist(), networks[draw % NETWORKS]
        own, other, *reads = (draw_key(rng) for _ in range(4))
        this = on_die(mlp, data, own)
        broken = activations(this, x, reads[0], fault, units, rng)
        references = (this, on_die(mlp, data, other))
        for reference, network in zip(REFERENCES, references, strict=True):
            healthy = activations(network, x, reads[1], FAULTS[0], units, rng)
            for samples in SAMPLES:
                order = child(draw, "samples", samples).permutation(len(x))
                here, there = order[:samples], order[samples : 2 * samples]
                for outcome in outcomes(healthy[here], broken[there], broken[here], units):
                    yield reference, samples, outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--plot", action="store_true", help="draw recovery.png from recovery.csv")
    if parser.parse_args().plot:
        plot()
        return
    data = load("digits")
    x = np.concatenate([data.x_train, data.x_test])
    networks = [trained(data, seed) for seed in range(NETWORKS)]
    with (HERE / "recovery.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["fault", "severity", "reference", "samples", "way", "first", "found", "others", "draws"])
        for fault in FAULTS:
            seen: dict[tuple[str, int, str], list[Outcome]] = {}
            for reference, samples, outcome in draws(fault, networks, data, x):
                seen.setdefault((reference, samples, outcome.way), []).append(outcome)
            for (reference, samples, way), told in sorted(seen.items()):
                first = sum(one.first for one in told) / len(told)
                of_lasso = ["", ""]
                if way == LASSO:
                    found, others = (sum(getattr(one, name) for one in told) for name in ("found", "others"))
                    of_lasso = [f"{found / len(told):.2f}", f"{others / len(told):.2f}"]
                row = [fault.kind, fault.severity, reference, samples, way, f"{first:.2f}", *of_lasso, len(told)]
                table.writerow(row)
            file.flush()
            sys.stderr.write(f"{fault.kind} {fault.severity}\n")


def plot() -> None:
    """Recovery by severity at 200 samples of another die, a panel a fault; below, of one severity, by samples."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with (HERE / "recovery.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["reference"] == REFERENCES[1]]
    kinds = list(dict.fromkeys(fault.kind for fault in FAULTS[1:]))
    middle = {
        "stuck ADC": "bit 3",
        "dead column": "bit 4",
        "gain": "x 1.5",
        "noise": "50%",
        "noise in 4 columns": "50%",
    }
    figure, axes = plt.subplots(2, len(kinds), figsize=(14, 5.6), sharey=True, layout="constrained")
    ways = (LASSO, *SIMPLE, PAIRS)
    for column, kind in enumerate(kinds):
        severities = [fault.severity for fault in FAULTS if fault.kind == kind]
        above, below = axes[:, column]
        for number, way in enumerate(ways):
            of_way = {
                (row["severity"], int(row["samples"])): float(row["first"])
                for row in rows
                if (row["fault"], row["way"]) == (kind, way)
            }
            style: dict[str, Any] = {"marker": "osv^Dx"[number], "color": f"C{number}", "label": way}
            style |= {"linestyle": ":" if way == PAIRS else "-", "linewidth": 2.2 if way == LASSO else 1.0}
            above.plot(severities, [of_way[one, 200] for one in severities], **style)
            below.plot(SAMPLES, [of_way[middle[kind], one] for one in SAMPLES], **style)
        above.set_title(f"{kind}, 200 samples", fontsize=10)
        below.set_title(f"{kind}, {middle[kind]}", fontsize=10)
        below.set_xscale("log")
        below.set_xticks(SAMPLES, [str(one) for one in SAMPLES])
        below.minorticks_off()
        below.set_xlabel("samples of each chip")
    for ax in axes[:, 0]:
        ax.set_ylabel("broken put first")
        ax.set_ylim(-0.05, 1.05)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(ways), frameon=False)
    figure.savefig(HERE / "recovery.png", dpi=110)


if __name__ == "__main__":
    main()
