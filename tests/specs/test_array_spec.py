"""Arrays as data: what only several fields together can get wrong, and how slices are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.errors import SpecError
from imcsim.specs.array import ArraySpec

WRONG = [
    (
        {"slices": (4, 4), "cell_bits": 4},
        (
            "slices = [4, 4]: must add up to the 7 bits that this mapping stores; "
            "leave slices out to cut them by cell_bits"
        ),
    ),
    (
        {"slices": (4, 3), "cell_bits": 3},
        "slices = [4, 3]: a cell holds cell_bits = 3; raise cell_bits or cut finer",
    ),
    (
        {"mapping": "twos_complement", "slices": (4, 4), "cell_bits": 4},
        "slices = [4, 4]: the sign bit must be the last slice, alone; end it in 1",
    ),
    (
        {"weight_scale": "percentile"},
        'weight_percentile: is needed where weight_scale = "percentile"; 99.9 is a common choice',
    ),
    (
        {"weight_scale": "given"},
        'weight_limit: is needed where weight_scale = "given"; give the weight that the largest code stands for',
    ),
    (
        {"weight_percentile": 99},
        'weight_percentile = 99: has no meaning where weight_scale = "mse"; set weight_scale = "percentile" or drop it',
    ),
    (
        {"weight_scale": "max", "weight_limit": 0.5},
        'weight_limit = 0.5: has no meaning where weight_scale = "max"; set weight_scale = "given" or drop it',
    ),
    ({"rows": 64, "rows_parallel": 65}, "rows_parallel = 65: must be at most rows = 64"),
    (
        {"mapping": "offset", "subtraction": "analog"},
        (
            'subtraction = "analog": the mapping "offset" has no pair to subtract; '
            'take a differential mapping, or subtraction = "digital"'
        ),
    ),
    (
        {"offset_correction": "unit_column"},
        (
            'offset_correction = "unit_column": the mapping "differential" has no offset; '
            'set mapping = "offset" or drop it'
        ),
    ),
    (
        {"mapping": "offset", "weight_bits": 1, "offset_correction": "unit_column"},
        "offset_correction: one bit cannot store the weight 0 of a unit column; raise weight_bits",
    ),
]


@pytest.mark.parametrize(("fields", "told"), WRONG, ids=lambda case: "-".join(case) if isinstance(case, dict) else "")
def test_fields_that_contradict_each_other_are_told_with_a_remedy(fields, told):
    with pytest.raises(SpecError) as caught:
        ArraySpec(**fields)
    assert str(caught.value) == told


@given(st.integers(1, 16), st.integers(1, 8))
def test_slices_are_as_many_bits_as_a_cell_holds_and_a_rest(weight_bits, cell_bits):
    for mapping in ("differential", "differential_two_sided", "offset"):
        *full, last = ArraySpec(mapping=mapping, weight_bits=weight_bits, cell_bits=cell_bits).slice_bits
        assert set(full) <= {cell_bits}
        assert 1 <= last <= cell_bits
        assert sum(full) + last == (max(weight_bits - 1, 1) if mapping.startswith("diff") else weight_bits)


def test_the_sign_bit_of_twos_complement_is_a_slice_of_its_own():
    for cell_bits, slices in ((1, (1,) * 6), (2, (2, 2, 1, 1)), (8, (5, 1))):
        array = ArraySpec(mapping="twos_complement", weight_bits=6, cell_bits=cell_bits)
        assert array.slice_bits == slices
    assert ArraySpec(mapping="twos_complement", weight_bits=1, cell_bits=8).slice_bits == (1,)


def test_another_weight_scale_sets_aside_what_only_the_old_one_needs():
    percentile = ArraySpec(weight_scale="percentile", weight_percentile=99)
    given_limit = ArraySpec(weight_scale="given", weight_limit=0.5)
    for array in (percentile, given_limit):
        for scale in ("mse", "max"):
            assert array.replace("weight_scale", scale) == ArraySpec(weight_scale=scale)
