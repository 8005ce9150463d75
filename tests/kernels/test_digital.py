"""What is digital in a pass, against numpy: biases, perturbations, activations, losses; on any threads."""

from __future__ import annotations

import numpy as np
import pytest

from imcsim.kernels import jit
from imcsim.kernels.digital import activate_sums, losses_of_sums
from imcsim.kernels.in_turn import ACTIVATIONS as KNOWN
from imcsim.kernels.in_turn import LOSSES as KNOWN_LOSSES
from imcsim.network.activations import ACTIVATIONS
from imcsim.network.losses import LOSSES
from imcsim.rng import child

PASSES, SAMPLES, UNITS = 3, 7, 5
NOTHING = np.zeros((0, 0, 0))
LABELS = child(0, "labels").integers(0, UNITS, SAMPLES)
CASES = pytest.mark.parametrize(
    ("of_biases", "of_added"),
    [(1, None), (PASSES, None), (1, (PASSES, 1, UNITS)), (PASSES, (PASSES, SAMPLES, UNITS))],
)


def drawn(of_biases, of_added):
    """Products, biases, what is added, and the sums of all three."""
    rng = child(0, "digital")
    z, biases = rng.normal(0, 3, (PASSES, SAMPLES, UNITS)), rng.normal(size=(of_biases, UNITS))
    added = NOTHING if of_added is None else rng.normal(size=of_added)
    return z, biases, added, z + biases[:, None] + (added if of_added else 0.0)


@pytest.mark.parametrize("activation", KNOWN)
@CASES
def test_units_put_out_the_function_of_their_sums(of_biases, of_added, activation):
    z, biases, added, sums = drawn(of_biases, of_added)
    activate_sums(z, biases, added, KNOWN.index(activation))
    np.testing.assert_allclose(z, ACTIVATIONS[activation].function(sums), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("loss", KNOWN_LOSSES)
@CASES
def test_losses_are_those_of_the_sums(of_biases, of_added, loss):
    z, biases, added, sums = drawn(of_biases, of_added)
    target = np.ascontiguousarray(np.eye(UNITS)[LABELS].T)
    losses = losses_of_sums(z, biases, added, target, KNOWN_LOSSES.index(loss))
    np.testing.assert_allclose(losses, LOSSES[loss].value(sums, LABELS), rtol=1e-12)


def test_the_bits_do_not_depend_on_the_number_of_threads(on_threads, monkeypatch):
    monkeypatch.setattr(jit, "_SMALL", 0)

    def losses():
        z, biases, added, _ = drawn(1, (PASSES, 1, UNITS))
        activate_sums(z, biases, added, 1)
        return losses_of_sums(z, biases, added, np.ascontiguousarray(np.eye(UNITS)[LABELS].T), 0)

    np.testing.assert_array_equal(*(on_threads(n, losses) for n in (1, 2)))
