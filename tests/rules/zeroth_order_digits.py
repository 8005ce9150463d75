"""Digits, 64-32-10 tanh, weights in codes of few bits, plain descent: zeroth order on a chip, and its twin in numpy.

Each layer has one scale, fixed at twice the largest initial weight; updates are whole codes, rounded to nearest or
stochastically; 40 epochs, batches of 50, ten draws, a step of one code or of 0.05 in the sums. The rate of each case is
the best of GRID on the validation split by the twin, with a seed that is not one of the tests:
`python tests/rules/zeroth_order_digits.py` prints them.
"""

from typing import NamedTuple

import numpy as np

from imcsim.datasets import load as load_data
from imcsim.descent import DescentSpec
from imcsim.learning import learn
from imcsim.network.learning_chip import learning_chip
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.rng import child
from imcsim.rules.library import learning_rule
from imcsim.specs.codec import overlay
from imcsim.specs.library import load

EPOCHS, BATCH, DRAWS, NODE_STEP, HEADROOM = 40, 50, 10, 0.05, 2.0
GRID = (0.01, 0.03, 0.1, 0.3, 1.0)
RULES = {
    "bp": ("hardware_in_the_loop", {}),
    "wp": ("zeroth_order", {"perturb": "weights", "draws": DRAWS}),
    "np": ("zeroth_order", {"perturb": "nodes", "draws": DRAWS, "node_step": NODE_STEP}),
}


class Case(NamedTuple):
    """A rule on weights of so many bits, its rate, and what learning_rules.md, section 5, has of it: three seeds."""

    bits: int
    rule: str
    rounding: str
    rate: float
    reference: float

    def __str__(self):
        return f"{self.bits}b-{self.rule}-{self.rounding}"


def start(seed):
    return initial_mlp(NetworkSpec(hidden=(32,), activation="tanh"), 64, 10, child(seed, "weights"))


def on_chip(case, data, seed, epochs=EPOCHS):
    """The test accuracy of the rule on a chip of exact reads."""
    changes = {
        "array": {
            "weight_bits": case.bits,
            "cell_bits": case.bits - 1,
            "weight_scale": "max",
            "weight_headroom": HEADROOM,
        },
        "dac": {"kind": "one_shot", "bits": 12, "out_of_range": "clip"},
        "adc": {"kind": "ideal"},
        "write": {"rounding": case.rounding},
    }
    spec = overlay(load("sram_ideal"), changes)
    network = learning_chip(start(seed), spec, "cross_entropy", seed, child(seed, "program"))
    network = network.calibrated(data.x_train[:64], data.y_train[:64], child(seed, "calibrate"))
    name, options = RULES[case.rule]
    descent = DescentSpec(epochs=epochs, batch_size=BATCH, optimizer="sgd", learning_rate=case.rate)
    return learn(network, learning_rule(name, options), data, descent, child(seed, "learning")).accuracy_test


class Twin:
    """Integers that learn, from the equations; it shares nothing with imcsim but the initial weights."""

    def __init__(self, weights, bits, rounding, rng):
        self.most, self.rounding, self.rng = 2 ** (bits - 1) - 1, rounding, rng
        self.s = [HEADROOM * np.abs(w).max() / self.most for w in weights]
        self.codes = [np.rint(w / s) for w, s in zip(weights, self.s, strict=True)]
        self.b = [np.zeros(w.shape[1]) for w in weights]

    def forward(self, x, dz=(0.0, 0.0), dcodes=(0.0, 0.0), db=(0.0, 0.0)):
        W = [s * np.clip(c + d, -self.most, self.most) for s, c, d in zip(self.s, self.codes, dcodes, strict=True)]
        hidden = np.tanh(x @ W[0] + self.b[0] + db[0] + dz[0])
        return hidden, hidden @ W[1] + self.b[1] + db[1] + dz[1]

    @staticmethod
    def losses(z, y):
        shifted = z - z.max(axis=1, keepdims=True)
        return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(y)), y]

    def signs(self, *shape):
        return self.rng.choice((-1.0, 1.0), size=shape)

    def gradient(self, rule, x, y):
        hidden, z = self.forward(x)
        clean, n = self.losses(z, y), len(y)
        if rule == "wp":
            return self.by_weights(x, y, clean.mean())
        if rule == "bp":
            e = np.exp(z - z.max(axis=1, keepdims=True))
            e /= e.sum(axis=1, keepdims=True)
            e[np.arange(n), y] -= 1
            deltas = [(e @ (self.s[1] * self.codes[1]).T) * (1 - hidden**2), e]
        else:
            deltas = [0.0, 0.0]
            for _ in range(DRAWS):
                xi = [self.signs(n, len(b)) for b in self.b]
                change = self.losses(self.forward(x, dz=[NODE_STEP * one for one in xi])[1], y) - clean
                deltas = [d + change[:, None] / NODE_STEP * one / DRAWS for d, one in zip(deltas, xi, strict=True)]
        return [x.T @ deltas[0] / n, hidden.T @ deltas[1] / n], [d.mean(axis=0) for d in deltas]

    def by_weights(self, x, y, clean):
        dW, db = [0.0, 0.0], [0.0, 0.0]
        for _ in range(DRAWS):
            xi, of_b = [self.signs(*c.shape) for c in self.codes], [self.signs(*b.shape) for b in self.b]
            z = self.forward(x, dcodes=xi, db=[s * one for s, one in zip(self.s, of_b, strict=True)])[1]
            change = (self.losses(z, y).mean() - clean) / DRAWS
            dW = [g + change / s * one for g, s, one in zip(dW, self.s, xi, strict=True)]
            db = [g + change / s * one for g, s, one in zip(db, self.s, of_b, strict=True)]
        return dW, db

    def descend(self, dW, db, rate):
        for layer in range(2):
            move = -rate * dW[layer] / self.s[layer]
            whole = np.rint(move) if self.rounding == "nearest" else np.floor(move + self.rng.random(move.shape))
            self.codes[layer] = np.clip(self.codes[layer] + whole, -self.most, self.most)
            self.b[layer] = self.b[layer] - rate * db[layer]


def of_twin(case, data, seed, epochs=EPOCHS):
    rng = np.random.default_rng(seed)
    twin = Twin(start(seed).weights, case.bits, case.rounding, rng)
    for _ in range(epochs):
        order = rng.permutation(len(data.y_train))
        for first in range(0, len(order), BATCH):
            rows = order[first : first + BATCH]
            twin.descend(*twin.gradient(case.rule, data.x_train[rows], data.y_train[rows]), case.rate)
    return np.mean(twin.forward(data.x_test)[1].argmax(axis=1) == data.y_test)


if __name__ == "__main__":
    validation = load_data("digits").for_tuning
    print("case", *GRID)
    for bits in (8, 6, 4):
        for rule in RULES:
            for rounding in ("nearest", "stochastic"):
                case = Case(bits, rule, rounding, 0.0, 0.0)
                found = [of_twin(case._replace(rate=rate), validation, 10) for rate in GRID]
                print(case, *(f"{one:.4f}" for one in found), flush=True)
