"""How large a perturbation must be for a loss ADC to see it: cosine of sequential estimates and the exact gradient.

    python studies/perturbation_size/study.py [--seeds 3] [--out DIR]

writes cosines.csv and perturbation_size.png: digits, 64-16-10 tanh, a batch of 100, every weight (or node) by itself.
"""

import argparse
import csv
import dataclasses
from pathlib import Path

import numpy as np

from imcsim.datasets import load
from imcsim.errors import SpecError
from imcsim.network.ideal import IdealNetwork
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.rng import child
from imcsim.rules.library import learning_rule
from imcsim.rules.rule import Batch
from imcsim.specs.loss_adc import LossADC
from imcsim.updates import dense

HIDDEN, SAMPLES, FULL_SCALE = 16, 100, 8.0
BITS = (8, 10, 12, 16, None)
DELTAS = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.2, 0.3, 0.5, 1.0)
RULES = {"wp_sequential": False, "np_sequential": True}  # whether the ADC converts the loss of each sample, or the mean


def setting(seed: int) -> tuple[IdealNetwork, Batch]:
    """A network at its initial weights, and a batch of digits."""
    data = load("digits")
    mlp = initial_mlp(NetworkSpec(hidden=(HIDDEN,), activation="tanh"), 64, 10, child(seed, "weights"))
    rows = child(seed, "batch").permutation(len(data.x_train))[:SAMPLES]
    return IdealNetwork(mlp, "cross_entropy"), Batch(data.x_train[rows], data.y_train[rows])


def cosine(rule: str, network: IdealNetwork, batch: Batch, delta: float, bits: int | None) -> float:
    """Of the whole estimate, weights and biases of all layers, and the exact gradient of the mean loss."""
    adc = None if bits is None else LossADC(bits=bits, full_scale=FULL_SCALE, per_sample=RULES[rule])
    exact = _estimate("hardware_in_the_loop", {}, network, batch)
    try:
        found = _estimate(rule, {"delta": delta}, dataclasses.replace(network, loss_adc=adc), batch)
    except SpecError:  # no perturbation changed any code of the loss ADC
        return 0.0
    return float(exact @ found / (np.linalg.norm(exact) * np.linalg.norm(found)))


def _estimate(rule: str, options: dict, network: IdealNetwork, batch: Batch) -> np.ndarray:
    made = learning_rule(rule, options)
    updates, _, _ = made.step(network, made.init(network, child(0, "init")), batch, child(0, "step"))
    return np.concatenate([part.ravel() for one in updates for part in (dense(one.weights), one.biases)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    asked = parser.parse_args()
    table: dict = {}
    for rule in RULES:
        for bits in BITS:
            for delta in DELTAS:
                each = [cosine(rule, *setting(seed), delta, bits) for seed in range(asked.seeds)]
                table[rule, bits, delta] = np.mean(each)
            row = " ".join(f"{table[rule, bits, delta]:6.3f}" for delta in DELTAS)
            print(f"{rule} {'exact' if bits is None else f'{bits} bits':8} {row}", flush=True)
    asked.out.mkdir(parents=True, exist_ok=True)
    with (asked.out / "cosines.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["rule", "loss_adc_bits", "delta", "cosine"])
        writer.writerows([rule, bits or "", delta, f"{value:.4f}"] for (rule, bits, delta), value in table.items())
    _plot(asked.out / "perturbation_size.png", table)


def _plot(path: Path, table: dict) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    titles = {
        "wp_sequential": "Weights; the mean loss of the batch is read",
        "np_sequential": "Nodes; the loss of each sample is read",
    }
    colours, markers = ("#D55E00", "#E69F00", "#009E73", "#0072B2", "#000000"), "^vDso"
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
    for ax, rule in zip(axes, RULES, strict=True):
        for bits, colour, marker in zip(BITS, colours, markers, strict=True):
            values = [table[rule, bits, delta] for delta in DELTAS]
            label = "exact loss" if bits is None else f"{bits} bits"
            ax.plot(DELTAS, values, marker + "-", color=colour, label=label, ms=5, lw=1.2)
        ax.set(xscale="log", xlabel="perturbation", title=titles[rule], ylim=(-0.05, 1.05))
    axes[0].set_ylabel("cosine with the exact gradient")
    axes[1].legend(frameon=False, title="loss ADC")
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
