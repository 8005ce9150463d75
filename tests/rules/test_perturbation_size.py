"""Sequential weight perturbation through a loss ADC against a float64 twin of the same network, batch and seed."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

FILE = Path(__file__).parents[2] / "studies" / "perturbation_size" / "study.py"
_SPEC = importlib.util.spec_from_file_location("perturbation_size_study", FILE)
study = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(study)


def twin(network, batch, delta, bits):
    """The cosine, from the equations: finite differences of the quantised mean loss, a weight after the other."""
    W, b = [w.copy() for w in network.mlp.weights], [one.copy() for one in network.mlp.biases]
    x, y, lsb = batch.x, batch.y, None if bits is None else study.FULL_SCALE / (2**bits - 1)

    def loss():
        z = np.tanh(x @ W[0] + b[0]) @ W[1] + b[1]
        mean = np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y])
        return mean if lsb is None else lsb * np.clip(np.rint(mean / lsb), 0, 2**bits - 1)

    before, found = loss(), []
    for parameter in (W[0], b[0], W[1], b[1]):
        flat = parameter.reshape(-1)
        for place, value in enumerate(flat):
            flat[place] = value + delta
            found.append((loss() - before) / delta)
            flat[place] = value
    a = np.tanh(x @ W[0] + b[0])
    z = a @ W[1] + b[1]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    e = p / len(y)
    d = (e @ W[1].T) * (1 - a**2)
    exact = np.concatenate([(x.T @ d).ravel(), d.sum(0), (a.T @ e).ravel(), e.sum(0)])
    found = np.array(found)
    return exact @ found / max(np.linalg.norm(exact) * np.linalg.norm(found), 1e-300)


CASES = [(1e-2, 12), (0.1, 8), (0.1, 12), (0.5, 10), (0.1, 16), (1e-2, None), (0.5, None)]


@pytest.mark.parametrize(("delta", "bits"), CASES)
def test_the_cosine_is_that_of_the_twin(delta, bits):
    network, batch = study.setting(0)
    assert study.cosine("wp_sequential", network, batch, delta, bits) == pytest.approx(
        twin(network, batch, delta, bits), abs=0.02
    )


@pytest.mark.parametrize("rule", study.RULES)
def test_the_best_perturbation_grows_as_bits_fall(rule):
    network, batch = study.setting(0)
    deltas = (1e-3, 1e-2, 0.1, 0.5)
    best = [
        deltas[int(np.argmax([study.cosine(rule, network, batch, delta, bits) for delta in deltas]))]
        for bits in (8, 12, 16, None)
    ]
    assert best == sorted(best, reverse=True)
    assert best[0] > best[-1]
