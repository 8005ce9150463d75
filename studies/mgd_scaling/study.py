"""Multiplexed gradient descent against the size of the network: steps to an accuracy, passes and writes apart.

    python studies/mgd_scaling/study.py [--runs 5] [--most 10000] [--draw] [--out DIR] [sizes] [taus] [published]

writes sizes.csv, taus.csv and published.csv, of what is named or of all, and the figures of those that are there.
`published` takes Fashion-MNIST from $IMCSIM_DATA, and --minutes of time.
"""

import argparse
import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from imcsim.datasets import DataSet, load
from imcsim.kernels.blas import single_threaded_blas
from imcsim.member_rng import member_generator
from imcsim.network.ideal import IdealNetwork
from imcsim.network.mlp import MLP, NetworkSpec, initial_mlp
from imcsim.rng import child
from imcsim.rules.library import learning_rule
from imcsim.rules.rule import Batch, LearningRule, chain
from imcsim.rules.transforms import scale_by_learning_rate

TARGET, BATCH = 0.8, 32
WIDTHS = (4, 8, 16, 32, 64, 128, 256)
RATES = (0.3, 0.1, 1.0, 0.03, 3.0)
TAUS, TAU_WIDTH = (1, 10, 100, 1000), 8

# Oripov et al. 2025, medians (unverified): F-MNIST, six convolutions and three layers
PARAMETERS = (520, 1.9e3, 7.3e3, 28.7e3, 114e3, 255e3, 452e3, 1.01e6, 1.80e6)
PUBLISHED = {
    "weights": (2.42e6, 906e3, 744e3, 757e3, 778e3, 853e3, 1.02e6, 1.16e6, 1.30e6),
    "nodes": (1.45e6, 425e3, 277e3, 210e3, 198e3, 215e3, 230e3, 245e3, 269e3),
    "backprop": (370e3, 73e3, 33e3, 18e3, 10.6e3, 8.7e3, 8.3e3, 6.8e3, 5.9e3),
}
PUBLISHED_TAUS = {1: 87e3, 10: 282e3, 100: 901e3, 1000: 3.4e6}  # iterations to 80 %, weights, d = 24


class Assessed(NamedTuple):
    """After so many steps: the accuracies on the test samples, a run each, and what was asked for, a run."""

    step: int
    accuracies: np.ndarray
    passes: int


def ensemble(width: int, data: DataSet, runs: int, loss: str) -> IdealNetwork:
    """Networks with a hidden layer of tanh, each from weights of its own."""
    spec = NetworkSpec(hidden=(width,), activation="tanh")
    starts = [initial_mlp(spec, data.x_train.shape[1], data.classes, child(run, "weights")) for run in range(runs)]
    weights, biases = (zip(*parts, strict=True) for parts in zip(*((m.weights, m.biases) for m in starts), strict=True))
    return IdealNetwork(MLP(tuple(map(np.stack, weights)), tuple(map(np.stack, biases)), "tanh"), loss)


def learning(
    network: IdealNetwork, rule: LearningRule, data: DataSet, batch: int, runs: int, every: float = 1.1
) -> Iterator[Assessed]:
    """Steps without end, assessed at steps that grow by a factor."""
    rng, order = member_generator(0, runs, "run"), child(0, "order")
    state, step, due, passes = rule.init(network, rng), 0, 5.0, 0
    while True:
        rows = order.integers(0, len(data.x_train), batch)
        with np.errstate(over="ignore", invalid="ignore"):
            updates, state, info = rule.step(network, state, Batch(data.x_train[rows], data.y_train[rows]), rng)
            network = (info.network or network).write(updates, rng)
        step, passes = step + 1, passes + info.counts.forward_passes
        if step >= due:
            z = network.forward(data.x_test, rng).z[-1]
            yield Assessed(step, (z.argmax(axis=-1) == data.y_test).mean(axis=-1), passes)
            due *= every


def to_target(perturb: str, width: int, rate: float, tau: int, runs: int, most: int) -> tuple[float, float]:
    """Updates and passes of samples until the median run is at the target; infinite beyond `most` time steps."""
    data = load("digits")
    if perturb == "backprop":
        rule = learning_rule("on_chip_backprop")
    else:
        options = {"norm": 0.01, "scope": "layerwise", "step_length": "bounded", "tau_x": tau, "tau_theta": tau}
        rule = learning_rule("mgd", {**options, "perturb": perturb})
    descending = chain(rule, scale_by_learning_rate(rate))
    for found in learning(ensemble(width, data, runs, "cross_entropy"), descending, data, BATCH, runs):
        if np.median(found.accuracies) >= TARGET:
            return found.step, found.passes
        if found.step * tau >= most:
            break
    return np.inf, np.inf


def fastest(perturb: str, width: int, tau: int, runs: int, most: int) -> dict[str, float]:
    """The rate that takes the fewest updates; slower ones are given up where it was already there."""
    best = (np.inf, np.inf, np.nan)
    for rate in RATES:
        limit = most if best[0] == np.inf else best[0] * tau
        best = min(best, (*to_target(perturb, width, rate, tau, runs, int(limit)), rate))
    updates, passes, rate = best
    row = {"perturb": perturb, "width": width, "parameters": 65 * width + 10 * (width + 1), "tau_theta": tau}
    row |= {"rate": rate, "time_steps": updates * tau, "updates": updates, "passes": passes}
    print(row, flush=True)
    return row


def sizes(out: Path, arguments: argparse.Namespace) -> None:
    rules = ("backprop", "nodes", "weights")
    rows = [fastest(one, width, 1, arguments.runs, arguments.most) for width in WIDTHS for one in rules]
    save(out / "sizes.csv", rows)


def taus(out: Path, arguments: argparse.Namespace) -> None:
    rows = [fastest("weights", TAU_WIDTH, tau, arguments.runs, arguments.most * (1 if tau == 1 else 4)) for tau in TAUS]
    save(out / "taus.csv", rows)


def published(out: Path, arguments: argparse.Namespace) -> None:
    """McCaughan et al. 2023 on F-MNIST: random codes of norm 0.1, eta 10, 1000 samples a step, squared error, for the
    14378 weights of their convolutions; here a perceptron of 14,320.
    """
    data, width = load("fashion_mnist"), 18
    parameters = 785 * width + 10 * (width + 1)
    # their step sums C~ u / norm^2, and their cost is the squared error, not half of it
    rule = chain(learning_rule("mgd", {"norm": 0.1}), scale_by_learning_rate(2 * 10.0 / parameters))
    rows, start = [], time.perf_counter()
    with single_threaded_blas():
        for found in learning(ensemble(width, data, 1, "sigmoid_mse"), rule, data, 1000, 1, every=1.2):
            rows.append({"step": found.step, "accuracy": found.accuracies[0], "passes": found.passes})
            print(rows[-1], flush=True)
            if time.perf_counter() - start > 60 * arguments.minutes:
                break
    save(out / "published.csv", rows)


def save(path: Path, rows: list[dict[str, float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


COLOURS = {"weights": "tab:orange", "nodes": "tab:blue", "backprop": "0.4"}


def draw_sizes(out: Path) -> None:
    figure, (steps, passes) = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
    rows = table(out / "sizes.csv")
    for perturb, colour in COLOURS.items():
        found = [row for row in rows if row["perturb"] == perturb]
        x = [float(row["parameters"]) for row in found]
        steps.plot(x, [float(row["updates"]) for row in found], "o-", color=colour, label=f"{perturb}, here")
        steps.plot(PARAMETERS, PUBLISHED[perturb], "--", color=colour, label=f"{perturb}, published")
        passes.plot(
            x, [float(row["passes"]) for row in found], "o-", color=colour, label=f"{perturb}: passes of samples"
        )
        if perturb != "backprop":
            written = [float(row["updates"]) * (1 + 2 * (perturb == "weights")) for row in found]
            passes.plot(x, written, "s:", color=colour, label=f"{perturb}: writes of a weight")
    for ax, told in ((steps, "updates to 80 %"), (passes, "to 80 %, here")):
        ax.set(xscale="log", yscale="log", xlabel="parameters", ylabel=told)
    steps.legend(fontsize=7, loc="lower right")
    passes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    steps.set_title("digits 64-h-10, beside F-MNIST convolutions", fontsize=10)
    figure.savefig(out / "sizes.png", dpi=110)


def draw_taus(out: Path) -> None:
    figure, ax = plt.subplots(figsize=(6, 4.2), layout="constrained")
    rows = table(out / "taus.csv")
    tau = [float(row["tau_theta"]) for row in rows]
    ax.plot(tau, [float(row["time_steps"]) for row in rows], "o-", color="tab:orange", label="time steps, here")
    ax.plot(tau, [float(row["updates"]) for row in rows], "s-", color="tab:green", label="updates, here")
    of = np.array(list(PUBLISHED_TAUS))
    ax.plot(of, list(PUBLISHED_TAUS.values()), "--", color="tab:orange", label="time steps, published")
    ax.plot(of, np.array(list(PUBLISHED_TAUS.values())) / of, "--", color="tab:green", label="updates, published")
    ax.set(xscale="log", yscale="log", xlabel="time steps an update, tau_theta", ylabel="to 80 %")
    ax.legend(fontsize=8)
    figure.savefig(out / "taus.png", dpi=110)


def draw_published(out: Path) -> None:
    figure, ax = plt.subplots(figsize=(6, 4.2), layout="constrained")
    rows = table(out / "published.csv")
    ax.plot([float(row["step"]) for row in rows], [100 * float(row["accuracy"]) for row in rows], "o-", label="here")
    ax.axhspan(83.4, 86.1, color="0.85", label="McCaughan et al. 2023 after 1e7 steps")
    ax.axhline(88.6, color="0.5", ls=":", label="their backprop")
    ax.set(xscale="log", xlabel="time steps", ylabel="accuracy on F-MNIST (%)", xlim=(10, 1.2e7))
    ax.legend(fontsize=8, loc="lower right")
    figure.savefig(out / "published.png", dpi=110)


PARTS = {"sizes": (sizes, draw_sizes), "taus": (taus, draw_taus), "published": (published, draw_published)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--most", type=int, default=10_000, help="time steps, after which a rate is given up")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--draw", action="store_true", help="figures alone, from the tables that are there")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    for part in arguments.parts:
        compute, draw = PARTS[part]
        if not arguments.draw:
            compute(arguments.out, arguments)
        draw(arguments.out)
