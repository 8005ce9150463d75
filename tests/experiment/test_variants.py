"""Variants are named changes laid over one design: an axis of their own, before whatever else is swept."""

from __future__ import annotations

import pytest

from imcsim.errors import SpecError
from imcsim.experiment.study_file import read_study

STUDY = """
name = "variants"
dataset = "iris"
[network]
hidden = [4]
[chip]
device = "sram8t_65nm"
[chip.adc]
kind = "ideal"
[variants."as it is"]
[variants."no mismatch"]
chip.cell.mismatch_sigma_rel = 0.0
[variants."SAR of 6 bits"]
chip.adc = { kind = "sar", bits = 6 }
training.epochs = 3
[plot]
kind = "losses"
x = "variant"
"""


@pytest.fixture
def plan_of(tmp_path):
    def read(text, *settings, **options):
        path = tmp_path / "study.toml"
        path.write_text(text)
        return read_study(path, settings, **options)

    return read


def test_variants_are_an_axis_whose_cells_are_the_design_with_each_laid_over_it(plan_of):
    plan = plan_of(STUDY)
    assert [(axis.path, axis.values) for axis in plan.axes] == [
        ("variant", ("as it is", "no mismatch", "SAR of 6 bits"))
    ]
    as_it_is, no_mismatch, sar = (cell.config for cell in plan.cells)
    assert as_it_is["chip"]["adc"] == {"kind": "ideal"}
    assert "mismatch_sigma_rel" not in as_it_is["chip"]["cell"]  # derived from the threshold's
    assert no_mismatch["chip"]["cell"]["mismatch_sigma_rel"] == 0.0
    assert "sigma_vt_V" not in no_mismatch["chip"]["cell"]
    assert (sar["chip"]["adc"]["kind"], sar["chip"]["adc"]["bits"], sar["training"]["epochs"]) == ("sar", 6, 3)


def test_what_is_swept_beside_variants_is_laid_over_each(plan_of):
    plan = plan_of(STUDY + '[grid]\n"chip.array.weight_bits" = [2, 4]\n')
    assert [axis.path for axis in plan.axes] == ["variant", "chip.array.weight_bits"]
    assert [cell.config["chip"]["array"]["weight_bits"] for cell in plan.cells] == [2, 4] * 3
    assert plan.cells[4].config["chip"]["adc"]["kind"] == "sar"


def test_the_study_s_own_text_holds_its_variants(plan_of):
    plan = plan_of(STUDY)
    again = plan_of(plan.toml)
    assert [cell.config for cell in again.cells] == [cell.config for cell in plan.cells]


def test_a_quick_study_keeps_every_variant(plan_of):
    assert len(plan_of(STUDY, quick=True).axes[0].values) == 3


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ('chip.adc = { kind = "sar", bits = 6 }', "chip.adc.bitz = 6", 'unknown key "bitz"'),
        ("training.epochs = 3", "trainnig.epochs = 3", "cannot vary"),
        ("chip.cell.mismatch_sigma_rel = 0.0", "chip.cell.mismatch_sigma_rel = -1.0", "must be a finite number from 0"),
        ('x = "variant"', 'x = "chip.adc.bits"', "must be a swept path"),
        ('x = "variant"', 'x = "variant"\nseries = "chip.adc.bits"', "has no meaning"),
    ],
)
def test_what_is_wrong_with_a_variant_is_told_where_it_stands(plan_of, was, becomes, told):
    assert was in STUDY
    with pytest.raises(SpecError, match=told) as caught:
        plan_of(STUDY.replace(was, becomes))
    assert all("study.toml" in str(problem) for problem in caught.value.problems)


def test_a_variant_that_is_no_table_is_refused(plan_of):
    with pytest.raises(SpecError, match="must be a table of changes"):
        plan_of(STUDY.replace('[variants."as it is"]', '[variants]\n"as it is" = 3'))


def test_a_study_without_variants_needs_a_grid(plan_of):
    bare = STUDY[: STUDY.index("[variants")]
    with pytest.raises(SpecError, match="is empty: a study sweeps at least one path"):
        plan_of(bare)


def test_a_variant_that_the_grid_would_overrule_is_refused(plan_of):
    for swept in ('"chip.adc.bits" = [4]', '"chip.adc" = [{ kind = "ideal" }]', '"chip.cell.sigma_vt_V" = [0.01]'):
        with pytest.raises(SpecError, match=r"would not be heard: \[grid\] sweeps"):
            plan_of(STUDY.replace('kind = "ideal"', 'kind = "uniform"', 1) + f"[grid]\n{swept}\n")


def test_a_setting_that_variants_would_overrule_is_refused(plan_of):
    with pytest.raises(SpecError, match='would not be heard by the variants that set it themselves: "SAR of 6 bits"'):
        plan_of(STUDY, "chip.adc.bits=3")


# ---- variants of another device

DEVICES = """
name = "devices"
dataset = "iris"
[network]
hidden = [4]
[chip]
device = "pcm"
adc.bits = 7
[variants.pcm]
[variants.cmo]
chip.device = "rram_cmo"
[variants."SRAM of 6 bits"]
chip.device = "sram8t_65nm"
chip.adc.bits = 6
"""
SWEPT_BITS = '[grid]\n"chip.dac.bits" = [4, 8]\n'


def test_a_variant_on_another_device_is_the_study_of_that_device(plan_of):
    plan = plan_of(DEVICES + SWEPT_BITS)
    bare = DEVICES[: DEVICES.index("[variants")] + SWEPT_BITS
    apart = [
        plan_of(bare),
        plan_of(bare, "chip.device=rram_cmo"),
        plan_of(bare, "chip.device=sram8t_65nm", "chip.adc.bits=6"),
    ]
    assert [cell.text for cell in plan.cells] == [cell.text for one in apart for cell in one.cells]
    assert len({cell.text for cell in plan.cells}) == 6
    assert "flicker_noise" not in plan.cells[-1].config["chip"]["cell"]  # nothing is left of the study's own device


def test_the_text_of_a_study_of_several_devices_says_the_same(plan_of):
    plan = plan_of(DEVICES + SWEPT_BITS)
    assert [cell.text for cell in plan_of(plan.toml).cells] == [cell.text for cell in plan.cells]


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        (
            '"rram_cmo"',
            '"rram_cmos"',
            r'\[variants.cmo.chip\] device: no device model "rram_cmos"',
        ),
        ('"rram_cmo"', "5", r"\[variants.cmo.chip\] device = 5: must be the name of a device model"),
        ("bits = 6", "bitz = 6", r'unknown key "bitz"'),
        ("adc.bits = 7", "adc.bits = 7\ncell.g_max_S = 1e-5", 'unknown key "g_max_S"'),
    ],
)
def test_what_is_wrong_with_the_device_of_a_variant_is_told_there(plan_of, was, becomes, told):
    assert was in DEVICES
    with pytest.raises(SpecError, match=told):
        plan_of(DEVICES.replace(was, becomes) + SWEPT_BITS)


def test_a_device_of_a_variant_that_cannot_have_the_swept_value_is_told_with_its_cell(plan_of):
    with pytest.raises(SpecError, match=r'kind = "sram_discharge"\) has no drift.*SRAM of 6 bits'):
        plan_of(DEVICES + '[grid]\n"read.now_s" = [0.0, 60.0]\n')
