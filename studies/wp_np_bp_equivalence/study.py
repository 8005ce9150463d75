"""Sequential weight and node perturbation beside backprop, on the ideal network.

    python studies/wp_np_bp_equivalence/study.py iris [--seeds 5]
    IMCSIM_DATA=... python studies/wp_np_bp_equivalence/study.py mnist [--seeds 3] [--weight-seeds 1] [--epochs 4]

writes iris.csv and iris.png, or mnist.csv and mnist.png (to --out DIR). In a seed all rules start from
the same weights, and have the same batches.
"""

import argparse
import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imcsim.datasets import load
from imcsim.descent import DescentSpec
from imcsim.learning import begin, one_epoch
from imcsim.network.ideal import IdealNetwork
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.rng import child
from imcsim.rules.library import learning_rule
from imcsim.training import accuracy

DELTAS = (0.001, 0.01, 0.1, 1.0, 3.0)
DIFFERENCES = ("forward", "central")
IRIS = DescentSpec(epochs=60, batch_size=16, learning_rate=0.01)
BACKPROP = ("on_chip_backprop", {})
WEIGHTS, NODES = "wp_sequential", "np_sequential"
WORDS = {WEIGHTS: "every weight in turn", NODES: "every node in turn"}


class Run(NamedTuple):
    """After each epoch (epochs,): loss and accuracy of the training samples, accuracy of the test samples."""

    loss: np.ndarray
    train: np.ndarray
    test: np.ndarray


def learned(data, hidden: int, rule: str, options: dict, spec: DescentSpec, seed: int) -> Run:
    """A network with one hidden layer of tanh units that learns by a rule."""
    start = initial_mlp(
        NetworkSpec(hidden=(hidden,), activation="tanh"),
        data.x_train.shape[1],
        data.classes,
        child(seed, "initial weights"),
    )
    found = learning_rule(rule, options)
    course = begin(IdealNetwork(start, "cross_entropy"), found, data, spec, child(seed, "run"))
    test = []
    for _ in range(spec.epochs):
        course = one_epoch(course, found, data, spec)
        reads = course.networks[0].forward(data.x_test, child(0, "nothing is drawn"))
        test.append(accuracy(reads.z[-1], data.y_test))
    return Run(np.array(course.history.loss), np.array(course.history.accuracy), np.array(test))


def iris(seeds: int, out: Path) -> None:
    """Loss curves of 4-8-3 against the perturbation."""
    data = load("iris")
    cases = {("backprop", "", 0.0): BACKPROP}
    for rule, name in WORDS.items():
        for difference in DIFFERENCES:
            options = ({"delta": delta, "difference": difference} for delta in DELTAS)
            cases |= {(name, difference, one["delta"]): (rule, one) for one in options}
    runs = {case: [learned(data, 8, *rule, IRIS, seed) for seed in range(seeds)] for case, rule in cases.items()}
    exact = np.array([run.loss for run in runs["backprop", "", 0.0]])
    rows = []
    for case, found in runs.items():
        loss, test = np.array([run.loss for run in found]), np.mean([run.test[-1] for run in found])
        off = np.abs(loss - exact).max()
        rows.append((*case[:2], case[2] or "", loss[:, -1].mean(), off, test, *loss.mean(axis=0)))
        print(*case, f"loss {loss[:, -1].mean():.5f}, off by {off:.1e} at most, test {test:.4f}", flush=True)
    header = ["rule", "difference", "delta", "last_loss", "largest_deviation", "test_accuracy"]
    _write(out / "iris.csv", [*header, *(f"loss_{epoch}" for epoch in range(1, IRIS.epochs + 1))], rows)
    _draw_iris(out / "iris.png", runs)


def mnist(seeds: int, weight_seeds: int, epochs: int, out: Path) -> None:
    """Accuracy curves: every weight of 784-32-10, every node of 784-100-10."""
    data, rows = load("mnist"), []
    spec = DescentSpec(epochs=epochs, batch_size=100, learning_rate=1e-3)
    runs: dict[str, dict[str, list[Run]]] = {}
    for rule, hidden, many in ((NODES, 100, seeds), (WEIGHTS, 32, weight_seeds)):
        shape = f"784-{hidden}-10"
        runs[shape] = {"backprop": [], WORDS[rule]: []}
        for seed in range(many):
            for name, (one, options) in {"backprop": BACKPROP, WORDS[rule]: (rule, {"delta": 0.01})}.items():
                run = learned(data, hidden, one, options, spec, seed)
                runs[shape][name].append(run)
                rows += [
                    (shape, name, seed, epoch, *values) for epoch, values in enumerate(zip(*run, strict=True), start=1)
                ]
                print(f"{shape:11} {name:20} seed {seed}: test {run.test[-1]:.4f}, loss {run.loss[-1]:.5f}", flush=True)
    _write(out / "mnist.csv", ["network", "rule", "seed", "epoch", "loss", "accuracy", "test_accuracy"], rows)
    _draw_mnist(out / "mnist.png", runs)


def _write(path: Path, header: list, rows: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in row] for row in rows)


def _draw_iris(path: Path, runs: dict) -> None:
    figure, axes = _figure(rows=2)
    colours = dict(zip(DELTAS, ("#0072B2", "#009E73", "#E69F00", "#D55E00", "#CC79A7"), strict=True))
    epochs = np.arange(1, IRIS.epochs + 1)
    exact = np.mean([run.loss for run in runs["backprop", "", 0.0]], axis=0)
    panels = [(name, difference) for difference in DIFFERENCES for name in WORDS.values()]
    for ax, (name, difference) in zip(axes.flat, panels, strict=True):
        for place, (delta, colour) in enumerate(colours.items()):
            mean = np.mean([run.loss for run in runs[name, difference, delta]], axis=0)
            # markers at epochs of their own, as the lines of small perturbations lie on each other
            ax.plot(epochs, mean, "o-", color=colour, lw=1, ms=4, markevery=(2 * place, 10), label=f"{delta:g}")
        ax.plot(epochs, exact, "--", color="black", lw=1.5, label="backprop")
        ax.set(title=f"{name}, {difference}", yscale="log", ylim=(0.05, 2.0), yticks=(0.1, 1.0))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    for ax in axes[1]:
        ax.set(xlabel="epoch")
    for ax in axes[:, 0]:
        ax.set(ylabel="loss of the training samples")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), title="perturbation", frameon=False, loc="outside right")
    figure.savefig(path, dpi=150)


def _draw_mnist(path: Path, runs: dict) -> None:
    figure, axes = _figure()
    for ax, (shape, of_shape) in zip(axes, runs.items(), strict=True):
        for (name, found), style in zip(of_shape.items(), ("s--", "o-"), strict=True):
            test = 100 * np.array([run.test for run in found])
            epochs, colour = np.arange(1, test.shape[1] + 1), "black" if name == "backprop" else "#D55E00"
            for one in test:
                ax.plot(epochs, one, style[1:], color=colour, lw=0.6, alpha=0.4)
            hollow = "white" if name == "backprop" else colour
            ax.plot(
                epochs,
                test.mean(axis=0),
                style,
                color=colour,
                mfc=hollow,
                ms=8 if name == "backprop" else 4,
                label=name,
            )
        ax.set(title=shape, xticks=epochs, xlabel="epoch", ylabel="accuracy on the test samples (%)")
        ax.legend(frameon=False, loc="lower right", title="mean; faint: each seed")
    figure.savefig(path, dpi=150)


def _figure(rows: int = 1):
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt.subplots(rows, 2, figsize=(10, 0.6 + 3.4 * rows), layout="constrained")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("iris", "mnist"))
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--weight-seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    asked = parser.parse_args()
    if asked.what == "iris":
        iris(asked.seeds or 5, asked.out)
    else:
        mnist(asked.seeds or 3, asked.weight_seeds, asked.epochs, asked.out)


if __name__ == "__main__":
    main()
