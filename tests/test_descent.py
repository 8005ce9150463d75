"""What a DescentSpec chains behind a rule: each field by the transform it stands for."""

import numpy as np
import pytest

from imcsim.descent import CosineSchedule, DescentSpec, InverseTimeSchedule, StepSchedule, transforms_of
from imcsim.errors import SpecError
from imcsim.network.ideal import IdealNetwork
from imcsim.network.mlp import MLP
from imcsim.network.protocols import LayerUpdate
from imcsim.rng import child
from imcsim.rules.rule import in_order
from imcsim.rules.transforms import adam, clip_norm, decay_weights, momentum, rmsprop, scale_by_learning_rate
from imcsim.updates import Dense, dense

STEPS_AN_EPOCH = 4


def path(*transforms):
    """What twelve steps, three epochs, make of a network that is pulled towards zero, and along: (12, 2)."""
    transform, rng = in_order(*transforms), child(0, "path")
    network = IdealNetwork(MLP((np.array([[1.0]]),), (np.array([-2.0]),), "relu"), "mse")
    state, found = transform.init(network), []
    for _ in range(3 * STEPS_AN_EPOCH):
        estimate = (LayerUpdate(Dense(network.mlp.weights[0] + rng.normal()), network.mlp.biases[0] + rng.normal()),)
        updates, state = transform.apply(estimate, state, network, rng)
        network = network.write(updates, rng)
        found.append([dense(updates[0].weights).item(), updates[0].biases.item()])
    return np.array(found)


def rates(values):
    """The schedule that gives each epoch the value it has in a list."""
    return lambda step: values[step // STEPS_AN_EPOCH]


@pytest.mark.parametrize(
    ("fields", "transforms"),
    [
        ({"optimizer": "sgd"}, [scale_by_learning_rate(0.1)]),
        ({"optimizer": "momentum"}, [momentum(0.9), scale_by_learning_rate(0.1)]),
        ({"optimizer": "momentum", "momentum": 0.5}, [momentum(0.5), scale_by_learning_rate(0.1)]),
        ({"optimizer": "adam"}, [adam(0.1)]),
        ({"optimizer": "rmsprop"}, [rmsprop(0.1)]),
        ({"clip_norm": 0.7}, [clip_norm(0.7), adam(0.1)]),
        ({"optimizer": "sgd", "weight_decay": 0.3}, [scale_by_learning_rate(0.1), decay_weights(0.3, 0.1)]),
        ({"schedule": StepSchedule(every_epochs=1, factor=0.5)}, [adam(rates([0.1, 0.05, 0.025]))]),
        ({"schedule": InverseTimeSchedule(decay=1.0)}, [adam(rates([0.1, 0.05, 0.1 / 3]))]),
        ({"schedule": CosineSchedule()}, [adam(lambda step: 0.05 * (1 + np.cos(np.pi * step / 12)))]),
        (
            {"schedule": StepSchedule(every_epochs=2), "weight_decay": 0.3},
            [adam(rates([0.1, 0.1, 0.01])), decay_weights(0.3, rates([0.1, 0.1, 0.01]))],
        ),
    ],
)
def test_each_field_stands_for_its_transform(fields, transforms):
    spec = DescentSpec(**{"epochs": 3, "learning_rate": 0.1, **fields})
    found, expected = path(*transforms_of(spec, STEPS_AN_EPOCH)), path(*transforms)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    # negative control: none of them is what the others are
    if fields != {"optimizer": "adam"}:
        assert np.abs(found - path(adam(0.1))).max() > 1e-3


def test_rounding_comes_last_so_that_whole_steps_are_written():
    (*_, last) = transforms_of(DescentSpec(rounding="nearest", weight_decay=0.1), STEPS_AN_EPOCH)
    updates, _ = last.apply((LayerUpdate(Dense(np.array([[0.3]])), np.zeros(1)),), None, Rounding(), child(0))
    assert updates[0].weights.delta.item() == 0.25


class Rounding:
    write_resolution = (0.25,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StepSchedule(every_epochs=0), "every_epochs = 0: must be an integer from 1 to 100000"),
        (lambda: StepSchedule(every_epochs=1, factor=2), "factor = 2: must be a finite number from 0 to 1"),
        (lambda: InverseTimeSchedule(decay=-1), "decay = -1: must be a finite number from 0 to"),
        (lambda: DescentSpec(optimizer="sdg"), 'optimizer = "sdg": must be one of "sgd", "momentum", "adam", "rmsp'),
        (lambda: DescentSpec(schedule=0.5), "schedule = 0.5: must be StepSchedule or CosineSchedule or Inverse"),
    ],
)
def test_a_descent_that_cannot_be_is_not_born(make, message):
    with pytest.raises(SpecError, match=message):
        make()
