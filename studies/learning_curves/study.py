"""The linear perceptron: learning curves of exact gradients, node and weight perturbation against their closed forms.

    python studies/learning_curves/study.py [--runs 10000] [--steps 1500] [--out DIR]

writes curves.csv, floors.csv and learning_curves.png. Every run is a member of one ensemble, under the rules that any
network learns by: `hardware_in_the_loop`, `np` and `wp`.
"""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imcsim.member_rng import member_generator
from imcsim.network.ideal import IdealNetwork
from imcsim.network.mlp import MLP
from imcsim.network.protocols import LayerUpdate
from imcsim.rng import child
from imcsim.rules.library import learning_rule
from imcsim.rules.perceptron import PerceptronLaw, gradient_law, node_law, weight_law
from imcsim.rules.rule import Batch
from imcsim.updates import scaled

INPUTS, OUTPUTS, GAMMA = 10, 5, 0.1


class Case(NamedTuple):
    """A rule with its options, and its law."""

    label: str
    rule: str
    options: dict
    law: PerceptronLaw


def _case(label, rule, law: Callable[..., PerceptronLaw], **options):
    of_law = {name: options[name] for name in ("sigma", "noise") if name in options}
    return Case(label, rule, options, law(INPUTS, OUTPUTS, gamma=GAMMA, **of_law))


CASES = (
    _case("exact gradient", "hardware_in_the_loop", gradient_law),
    _case("node, Gaussian", "np", node_law, sigma=0.2, noise="gaussian"),
    _case("node, Rademacher", "np", node_law, sigma=0.2, noise="rademacher"),
    _case("weight, Gaussian", "wp", weight_law, sigma=0.05, noise="gaussian", biases=False),
    _case("weight, Rademacher", "wp", weight_law, sigma=0.05, noise="rademacher", biases=False),
)


def excess_errors(case: Case, rate: float, runs: int, steps: int, seed: int = 0, start: float = 1.0) -> np.ndarray:
    """The excess error of every run after 0 ... steps - 1 steps, (steps, runs): from weights of that spread."""
    rng, rule = child(seed, "perceptron", case.label), learning_rule(case.rule, case.options)
    weights = start * rng.standard_normal((runs, INPUTS, OUTPUTS))  # the teacher's are 0, which is all the same
    network = IdealNetwork(MLP((weights,), (np.zeros((runs, OUTPUTS)),), "tanh"), "mse")
    state, errors = rule.init(network, member_generator(seed, runs, "init")), np.empty((steps, runs))
    for step in range(steps):
        errors[step] = 0.5 * np.square(network.mlp.weights[0]).sum(axis=(-1, -2))
        x = rng.standard_normal((runs, 1, INPUTS))
        batch = Batch(x, GAMMA * rng.standard_normal((runs, 1, OUTPUTS)))
        updates, state, info = rule.step(network, state, batch, member_generator(seed, runs, case.label, step))
        network = network if info.network is None else info.network
        (change,) = (LayerUpdate(scaled(one.weights, -rate), np.zeros(OUTPUTS)) for one in updates)
        network = network.write((change,), rng)
    return errors


def curve(case: Case, runs: int, steps: int, at_once: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The measured mean curve at half the fastest rate, its standard error, and the closed form."""
    rate, parts = 0.5 * case.law.fastest_rate, []
    for number, first in enumerate(range(0, runs, at_once)):
        parts.append(excess_errors(case, rate, min(at_once, runs - first), steps, seed=number))
    errors = np.concatenate(parts, axis=1)
    standard_error = errors.std(axis=1, ddof=1) / np.sqrt(runs)
    return errors.mean(axis=1), standard_error, case.law.curve(0.5 * INPUTS * OUTPUTS, rate, steps)


def floor(case: Case, relative_rate: float, runs: int, steps: int) -> tuple[float, float]:
    """E_inf measured over the second half of the steps, begun at it, and in closed form."""
    rate = relative_rate * case.law.largest_rate
    told = case.law.floor(rate)
    errors = excess_errors(case, rate, runs, steps, start=float(np.sqrt(2 * told / (INPUTS * OUTPUTS))))
    return float(errors[steps // 2 :].mean()), told


def growth(case: Case, relative_rate: float, runs: int, steps: int) -> tuple[float, float]:
    """By what the mean error has grown after `steps`, of a start far above the floor, measured and in closed form."""
    rate, start = relative_rate * case.law.largest_rate, 0.5 * INPUTS * OUTPUTS * 100.0
    errors = excess_errors(case, rate, runs, steps + 1, start=10.0)
    return float(errors[-1].mean() / errors[0].mean()), float(case.law.curve(start, rate, steps + 1)[-1] / start)


RATES = (0.1, 0.25, 0.5, 0.75)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    asked = parser.parse_args()
    curves, floors = {}, []
    for case in CASES:
        curves[case.label] = curve(case, asked.runs, asked.steps)
        measured, _, told = curves[case.label]
        print(f"{case.label:20} curve: largest deviation {np.abs(measured / told - 1).max():.2%}", flush=True)
        for relative in RATES if case.rule != "hardware_in_the_loop" else RATES[:3]:
            found = floor(case, relative, runs=500, steps=max(asked.steps, int(10 * case.law.A)))
            floors.append((case.label, relative, *found))
            print(f"{'':20} E_inf at {relative:g} eta_max: {found[0]:.5g}, closed form {found[1]:.5g}", flush=True)
        for relative in (0.9, 1.1):
            steps = int(0.8 * case.law.A)
            grown, told_growth = growth(case, relative, asked.runs, steps)
            floors.append((f"{case.label}: growth", relative, grown, told_growth))
            print(
                f"{'':20} at {relative:g} eta_max, after {steps} steps: x {grown:.3f}, closed form x {told_growth:.3f}"
            )
    asked.out.mkdir(parents=True, exist_ok=True)
    _write(asked.out / "curves.csv", curves)
    with (asked.out / "floors.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [("case", "rate_over_largest", "measured", "closed_form"), *floors]
        )
    _plot(asked.out / "learning_curves.png", curves, floors)


def _write(path: Path, curves: dict) -> None:
    names = ("measured", "standard_error", "closed_form")
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["step", *(f"{label}: {name}" for label in curves for name in names)])
        columns = [column for three in curves.values() for column in three]
        for step, row in enumerate(zip(*columns, strict=True)):
            if step % 10 == 0:
                writer.writerow([step, *(f"{value:.6g}" for value in row)])


def _plot(path: Path, curves: dict, floors: list) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    colours = dict(zip(curves, ("#000000", "#0072B2", "#56B4E9", "#D55E00", "#E69F00"), strict=True))
    markers = dict(zip(curves, ("o", "s", "D", "^", "v"), strict=True))
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for label, (measured, _, told) in curves.items():
        steps = np.arange(len(told))
        left.plot(steps, told, color=colours[label], lw=1)
        shown = np.unique(np.geomspace(1, len(told) - 1, 14).astype(int))
        left.plot(shown, measured[shown], markers[label], color=colours[label], ms=5, mfc="none", label=label)
        points = np.array([row[1:] for row in floors if row[0] == label])
        law = next(case.law for case in CASES if case.label == label)
        rates = np.linspace(0.05, 0.85, 50)
        right.plot(rates, [law.floor(rate * law.largest_rate) for rate in rates], color=colours[label], lw=1)
        right.plot(points[:, 0], points[:, 1], markers[label], color=colours[label], ms=6, mfc="none", label=label)
    left.set(xscale="log", yscale="log", xlabel="step", ylabel="mean excess error", title="At half the fastest rate")
    right.set(yscale="log", xlabel="rate / largest stable rate", ylabel="$E_\\infty$", title="Where it ends")
    left.legend(frameon=False, fontsize=9, title="points: measured\nlines: closed form", title_fontsize=9)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
