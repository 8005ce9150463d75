"""overlay: many changes of a design at once, in the words of its TOML."""

from __future__ import annotations

import pytest

from imcsim.errors import SpecError
from imcsim.specs.adc import SarADC
from imcsim.specs.codec import overlay
from imcsim.specs.library import load


def test_fields_that_need_each_other_change_together():
    changes = {
        "array": {"mapping": "offset", "offset_correction": "unit_column"},
        "dac": {"signed": True, "encoding": "two_phase"},
        "adc": {"kind": "sar", "bits": 6},
    }
    spec = overlay(load("sram8t_65nm"), changes)
    assert (spec.array.offset_correction, spec.dac.encoding) == ("unit_column", "two_phase")
    assert spec.adc == SarADC(bits=6)
    assert spec.array.rows == load("sram8t_65nm").array.rows


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(SpecError) as caught:
        overlay(load("sram8t_65nm"), {"array": {"rows": 0}, "adc": {"bitz": 3}})
    assert len(caught.value.problems) == 2


def test_inputs_that_become_unsigned_need_no_encoding():
    signed = overlay(load("sram_ideal"), {"dac": {"signed": True, "encoding": "two_phase"}})
    assert signed.replace("dac.signed", False).dac.encoding == "twos_complement"


def test_a_wrong_component_that_was_not_there_is_told_once():
    with pytest.raises(SpecError) as caught:
        overlay(load("pcm"), {"wires": {"r_row_ohm": -2.0, "r_col_ohm": 2.0}})
    assert [str(problem.path[-1]) for problem in caught.value.problems] == ["r_row_ohm"]


def test_a_component_takes_no_kind_that_it_does_not_have():
    wires = {"r_row_ohm": 1.0, "r_col_ohm": 1.0}
    assert overlay(load("pcm"), {"wires": {"kind": "resistive", **wires}}).wires.r_row_ohm == 1.0
    with pytest.raises(SpecError, match=r'wires\.kind = "copper": must be one of "resistive", "gated"'):
        overlay(load("pcm"), {"wires": {"kind": "copper", **wires}})
