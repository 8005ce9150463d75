"""A twin of the feedback rules in plain numpy, one network at a time, written from the equations of the references.

It shares nothing with imcsim.rules: not how a matrix is drawn, not how an error is sent, pruned or descended.
"""

import numpy as np
from scipy.stats import norm

BACKPROP = ("hardware_in_the_loop", "on_chip_backprop", "dbp")


class Twin:
    """A perceptron with tanh units and softmax, and the feedback of one rule. Weights are (inputs, outputs)."""

    def __init__(self, rule, weights, rng, feedback=None, pruning=None):
        self.rule, self.rng, self.pruning = rule, rng, pruning
        self.W = [w.copy() for w in weights]
        self.b = [np.zeros(w.shape[1]) for w in weights]
        # of dbp alone, and as the weights (inputs, outputs): what stands ahead of each layer
        self.R, self.decorrelates = [np.eye(len(w)) for w in weights], rule == "dbp"
        self.B = [None, *(self.drawn(w) for w in weights[1:])] if feedback is None else [None, *feedback]

    def drawn(self, w):
        """What stands for w, or goes from the outputs to its inputs; rows are those it reads."""
        n_in, n_out = w.shape
        classes, uniform = self.W[-1].shape[1], self.rng.uniform
        if self.rule == "fa":
            return uniform(-1, 1, (n_out, n_in)) / np.sqrt(n_in)
        if self.rule in ("dfa", "sign_dfa"):
            return uniform(-1, 1, (classes, n_in)) / np.sqrt(n_in)
        if self.rule == "drtp":
            return uniform(-1, 1, (classes, n_in)) * np.sqrt(6 / classes)
        if self.rule in ("sdfa", "ssdfa"):
            k = {"sdfa": 2, "ssdfa": 1}[self.rule]
            B = np.zeros((classes, n_in))
            for unit in range(n_in):
                B[self.rng.choice(classes, k, replace=False), unit] = uniform(-1, 1, k)
            return B / np.sqrt(n_in / np.sqrt(classes * k))
        if self.rule == "frsf":
            return uniform(0, np.sqrt(6 / (n_in + n_out)), (n_in, n_out))
        if self.rule == "efficientgrad":
            return uniform(0, np.sqrt(6 / n_in), (n_in, n_out))
        return None

    def signal(self, layer, delta, e, y):
        """What reaches the outputs below `layer`."""
        W, B = self.W[layer], self.B[layer]
        if self.rule == "fa":
            return delta @ B
        if self.rule in ("dfa", "sdfa", "ssdfa"):
            return e @ B
        if self.rule == "sign_dfa":
            return np.sign(e) @ B
        if self.rule == "drtp":
            return -B[y]
        if self.rule == "usf":
            return delta @ np.sign(W).T * np.sqrt(2 / sum(W.shape))
        if self.rule == "brsf":
            return delta @ (self.rng.uniform(0, np.sqrt(6 / sum(W.shape)), W.shape) * np.sign(W)).T
        if self.rule in ("frsf", "efficientgrad"):
            return delta @ (B * np.sign(W)).T
        assert self.rule in BACKPROP, f"the twin does not know {self.rule}"
        return delta @ W.T @ self.R[layer].T

    def outputs(self, x):
        a, entered = [x], []
        for W, b, R in zip(self.W, self.b, self.R, strict=True):
            entered.append(a[-1] @ R)
            z = entered[-1] @ W + b
            a.append(np.tanh(z))
        return a[:-1], entered, z

    def gradient(self, x, y):
        """The rule's estimate for the weights of every layer, then for the biases."""
        a, entered, z = self.outputs(x)
        p = np.exp(z - z.max(axis=1, keepdims=True))
        e = p / p.sum(axis=1, keepdims=True)
        e[np.arange(len(y)), y] -= 1
        delta, dW, db = e, [], []
        for layer in range(len(self.W) - 1, -1, -1):
            dW.insert(0, entered[layer].T @ delta / len(y))
            db.insert(0, delta.sum(axis=0) / len(y))
            if layer:
                delta = self.signal(layer, delta, e, y) * (1 - a[layer] ** 2)
                if self.pruning is not None:
                    delta = self.pruned(delta, self.pruning)
        if self.decorrelates:
            for layer, a in enumerate(entered):
                C = a.T @ a / len(y)
                self.R[layer] = self.R[layer] - 1e-3 * self.R[layer] @ (C - np.diag(np.diag(C)))
        return dW + db

    def pruned(self, delta, P):
        tau = norm.ppf((1 + P) / 2) * delta.std()
        r = self.rng.uniform(size=delta.shape)
        out = np.where(np.abs(delta) >= r * tau, tau * np.sign(delta), 0.0)
        out[np.abs(delta) > tau] = delta[np.abs(delta) > tau]
        return out

    def train(self, batches, rate):
        """Adam as published (Kingma & Ba 2015, algorithm 1)."""
        parameters = self.W + self.b
        m, v = [np.zeros_like(p) for p in parameters], [np.zeros_like(p) for p in parameters]
        for t, (x, y) in enumerate(batches, start=1):
            for i, g in enumerate(self.gradient(x, y)):
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.999 * v[i] + 0.001 * g**2
                parameters[i] -= rate * (m[i] / (1 - 0.9**t)) / (np.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)
        return self

    def accuracy(self, x, y):
        return np.mean(self.outputs(x)[2].argmax(axis=1) == y)
