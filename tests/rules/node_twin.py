"""A twin of node perturbation and of decorrelation in plain numpy, one network at a time, from the equations.

Samples are columns and weights (outputs, inputs), as the references write them. It shares nothing with imcsim.rules.
"""

import numpy as np


class NodeTwin:
    """A perceptron with tanh units and softmax that learns by `rule`: np, anp, inp, or with a d those decorrelated.

    `sums_noise` is the standard deviation of what every sum is read with, at every pass, unknown to the rule.
    """

    def __init__(self, rule, weights, rng, *, sigma=0.01, two_noisy=False, alpha=1e-3, kappa=0.0, sums_noise=0.0):
        self.rule, self.rng, self.sigma, self.two_noisy = rule.removeprefix("d"), rng, sigma, two_noisy
        self.alpha, self.kappa, self.sums_noise = alpha if rule.startswith("d") else 0.0, kappa, sums_noise
        self.W = [w.T.copy() for w in weights]
        self.b = [np.zeros((w.shape[1], 1)) for w in weights]
        self.R = [np.eye(len(w)) for w in weights]

    def read(self, x, y, eps=None):
        """The inputs as they enter, and the sums, of every layer; the loss of each sample."""
        a, entered, sums = x.T, [], []
        for layer, (W, b, R) in enumerate(zip(self.W, self.b, self.R, strict=True)):
            entered.append(R @ a)
            z = W @ entered[-1] + b
            if self.sums_noise:
                z = z + self.sums_noise * self.rng.standard_normal(z.shape)
            if eps is not None:
                z = z + eps[layer]
            sums.append(z)
            a = np.tanh(z)
        shifted = z - z.max(axis=0)
        return entered, sums, np.log(np.exp(shifted).sum(axis=0)) - shifted[y, np.arange(len(y))]

    def noise(self, samples):
        return [self.sigma * self.rng.standard_normal((len(W), samples)) for W in self.W]

    def gradient(self, x, y, noise=None):
        """The estimate for the weights of every layer, then for the biases; R learns from the first pass."""
        samples, layers = len(y), range(len(self.W))
        noise = noise or self.noise
        first = self.read(x, y, noise(samples) if self.two_noisy and self.rule == "anp" else None)
        deltas = []
        if self.rule == "np":
            eps = noise(samples)
            slope = (self.read(x, y, eps)[2] - first[2]) / self.sigma**2
            deltas = [slope * one for one in eps]
        elif self.rule == "anp":
            _, z, loss = self.read(x, y, noise(samples))
            dz = [after - before for after, before in zip(z, first[1], strict=True)]
            every = np.concatenate(dz)
            scale = len(every) * (loss - first[2]) / (every**2).sum(axis=0)
            deltas = [scale * one for one in dz]
        else:
            for layer in layers:
                eps = noise(samples)
                _, z, loss = self.read(x, y, [one if at == layer else 0 * one for at, one in enumerate(eps)])
                dz = z[layer] - first[1][layer]
                deltas.append(len(dz) * (loss - first[2]) / (dz**2).sum(axis=0) * dz)
        dW = [delta @ a.T / samples for delta, a in zip(deltas, first[0], strict=True)]
        db = [delta.mean(axis=1, keepdims=True) for delta in deltas]
        self.decorrelate(first[0])
        return dW + db

    def decorrelate(self, entered):
        if self.alpha:
            for layer, a in enumerate(entered):
                own = np.diag((a**2).mean(axis=1))
                C = (1 - self.kappa) * (a @ a.T / a.shape[1] - own) + self.kappa * (own - np.eye(len(a)))
                self.R[layer] = self.R[layer] - self.alpha * C @ self.R[layer]

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
        return np.mean(self.read(x, y)[1][-1].argmax(axis=0) == y)
