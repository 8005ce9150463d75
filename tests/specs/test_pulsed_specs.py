"""Specs of pulsed devices and updates: valid or not born, and told why."""

from __future__ import annotations

import pytest

from imcsim.errors import SpecError
from imcsim.specs.codec import build, to_table
from imcsim.specs.fields import kind_of
from imcsim.specs.pulsed import (
    ConstantStepDevice,
    ExponentialStepDevice,
    LinearStepDevice,
    PowerStepDevice,
    SoftBoundsDevice,
    TableStepDevice,
    UpdateSpec,
)

RANGE = {"dw_min": 0.001, "w_min": -0.6, "w_max": 0.6}
ALL_DEVICES = [
    ConstantStepDevice(**RANGE),
    LinearStepDevice(**RANGE, gamma_up=0.5, gamma_down=0.4),
    SoftBoundsDevice(**RANGE, cycle_noise="additive"),
    ExponentialStepDevice(**RANGE, A_up=0.1, A_down=0.2, gamma_up=1, gamma_down=2),
    PowerStepDevice(**RANGE, gamma=1.5),
    TableStepDevice(**RANGE, up=(1, 0.5, 0), down=(0, 0.5, 1)),
]


@pytest.mark.parametrize("device", ALL_DEVICES, ids=lambda device: kind_of(type(device)))
def test_a_device_survives_its_table(device):
    problems = []
    assert build(type(device), to_table(device), (), problems) == device
    assert not problems


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda: ConstantStepDevice(dw_min=2, w_min=-0.6, w_max=0.6),
            r"dw_min = 2.0: must be at most the range w_max - w_min = 1.2",
        ),
        (
            lambda: ConstantStepDevice(dw_min=0.1, w_min=0.1, w_max=0.6),
            r"w_min = 0.1: must be a finite number from .* to 0",
        ),
        (
            lambda: ConstantStepDevice(dw_min=0.1, w_min=0, w_max=0.6, w_min_dtod_rel=0.3),
            r"w_min_dtod_rel = 0.3: .* would change nothing; drop it",
        ),
        (
            lambda: SoftBoundsDevice(dw_min=0.1, w_min=0, w_max=0.6),
            r'w_min = 0: must lie below 0.*kind = "power" with gamma = 1',
        ),
        (lambda: TableStepDevice(**RANGE, up=(1,), down=(1,)), r"up = 1 entries: needs at least two"),
        (lambda: TableStepDevice(**RANGE, up=(1, 2), down=(1, 2, 3)), r"down = 3 entries: must have as many"),
        (lambda: TableStepDevice(**RANGE, up=(1, -2), down=(1, 2)), r"up = .*-2.*: must be a list"),
        (lambda: UpdateSpec(train_length=32), r"train_length = 32: must be an integer from 1 to 31"),
        (lambda: UpdateSpec(train_length=0), r"train_length = 0: must be an integer from 1 to 31"),
        (lambda: UpdateSpec(update_management=1), r"update_management = 1: must be true or false"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(make, told):
    with pytest.raises(SpecError, match=told):
        make()


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(SpecError) as error:
        TableStepDevice(dw_min=3, w_min=-1, w_max=1, up=(1,), down=(1, 2))
    assert [problem.path for problem in error.value.problems] == [("dw_min",), ("up",), ("down",)]
