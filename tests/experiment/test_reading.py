"""[read] of a study: chips are read some time after they were programmed, and what drifted is undone or is not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from evaluating import evaluate_now
from sweeping import cells, value_of

from imcsim.errors import ExtrapolationWarning, SpecError
from imcsim.experiment.reading import extrapolations
from imcsim.experiment.study_file import read_study
from imcsim.study.store import Artifacts

STUDY = """
name = "timed"
dataset = "iris"
[network]
hidden = [6, 6]
[training]
epochs = 5
[chip]
device = "DEVICE"
[grid]
"""

TIMES = '"read.now_s" = [0, 3600.0]'


@pytest.fixture
def plan_of(tmp_path):
    def read(grid, *settings, device="pcm"):
        (tmp_path / "study.toml").write_text(STUDY.replace("DEVICE", device) + grid)
        return read_study(tmp_path / "study.toml", settings)

    return read


@pytest.fixture
def told(plan_of, tmp_path):
    def read(grid, *settings, device="pcm"):
        with pytest.raises(SpecError) as caught:
            plan_of(grid, *settings, device=device)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return read


# ---- what a study says of its reads


def test_time_and_compensation_are_swept_and_part_of_a_cell(plan_of):
    plan = plan_of(f'{TIMES}\n"read.compensation" = ["none", "per_column"]')
    found = [(value_of(cell, "read.now_s"), value_of(cell, "read.compensation")) for cell in plan.cells]
    assert found == [(0.0, "none"), (0.0, "per_column"), (3600.0, "none"), (3600.0, "per_column")]
    assert len({point.id for point in plan.points}) == 4


def test_the_time_takes_ranges_settings_and_variants(plan_of):
    plan = plan_of('"read.now_s" = { log = [1, 10000], points = 3 }')
    assert [one["read.now_s"] for one in cells(plan)] == [1.0, 100.0, 10000.0]
    plan = plan_of(TIMES, "read.now_s=60", "read.probes=20")
    assert [(value_of(cell, "read.now_s"), value_of(cell, "read.probes")) for cell in plan.cells] == [(60.0, 20)]
    plan = plan_of('"chip.adc.bits" = [6]\n[variants.late]\nread.now_s = 100.0')
    assert [value_of(cell, "read.now_s") for cell in plan.cells] == [100.0]


def test_a_cell_whose_drift_nobody_knows_is_refused_at_the_grid_point_that_reads_it_later(told):
    (line,) = told(TIMES, device="rram_milo")
    assert line.startswith('study.toml: [grid] "read.now_s"[1] = 3600')
    assert "chip.cell has no drift: what it holds some time after its write is not known; read it at 0" in line
    (line,) = told('"chip.adc.bits" = [6]', "read.now_s=3600", device="rram_milo")
    assert line.startswith("--set: read.now_s = 3600: chip.cell has no drift")


@pytest.mark.parametrize("setting", ["read.now_s=1", 'read.compensation="global"'])
def test_time_and_compensation_of_a_cell_that_does_not_drift_are_refused(told, setting):
    (line,) = told('"chip.adc.bits" = [6]', setting, device="sram8t_65nm")
    assert 'chip.cell (kind = "sram_discharge") has no drift' in line


def test_a_time_beyond_a_device_that_is_not_to_be_extrapolated_is_refused(told, plan_of):
    beyond = '"read.now_s" = [86400.0, 86401.0]'
    (line,) = told(beyond, 'chip.cell.valid.beyond_t_max="error"')
    assert '"read.now_s"[1] = 86401' in line
    assert 'is known up to 86400 s after a write; set chip.cell.valid.beyond_t_max = "warning"' in line
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is to be extrapolated is told with the results
        plan_of(beyond)


def test_more_probes_than_training_samples_are_refused(told):
    (line,) = told('"chip.adc.bits" = [6]', "read.probes=121")
    assert line == "--set: read.probes = 121: must be at most 120: probes are training samples"


# ---- what becomes of it

# as much drift as no network survives by itself, the same in every cell; and no other error
PLAIN = (
    'chip.cell.drift={kind = "power", nu_mean = {kind = "constant", value = 0.5}}',
    'chip.adc={kind = "ideal"}',
    'chip.dac={kind = "ideal"}',
)


def accuracies(plan, artifacts, training=0, dies=1):
    return [
        [values["accuracy"] for values in evaluate_now(cell, training, [(die, 0) for die in range(dies)], artifacts)]
        for cell in plan.cells
    ]


def test_compensation_gives_back_what_drift_takes_where_all_cells_share_it(plan_of, tmp_path):
    artifacts = Artifacts(tmp_path / "artifacts")
    grid = '"read.now_s" = [0, 1e6]\n"read.compensation" = ["none", "global", "per_column"]'
    plan = plan_of(grid, *PLAIN, "training.epochs=30", device="resistive_ideal")
    fresh, fresh_global, fresh_columns, drifted, mended, mended_columns = accuracies(plan, artifacts)
    assert fresh == fresh_global == fresh_columns == mended == mended_columns
    assert drifted[0] < fresh[0] - 0.1


def test_reads_at_once_are_those_of_a_study_that_speaks_of_no_time(plan_of, tmp_path):
    artifacts = Artifacts(tmp_path / "artifacts")
    silent, at_zero = plan_of('"chip.adc.bits" = [6]'), plan_of('"read.now_s" = [0.0, 86400.0]', "chip.adc.bits=6")
    now, later = accuracies(at_zero, artifacts, dies=3)
    assert accuracies(silent, artifacts, dies=3) == [now]
    assert len({*now, *later}) > 1  # negative control: the dies differ


@pytest.mark.parametrize("device", ["pcm", "rram_wan"])  # whose reads differ, or do not
def test_points_beyond_what_a_device_was_measured_for_say_so_and_warn_nobody(plan_of, tmp_path, device):
    artifacts = Artifacts(tmp_path / "artifacts")
    plan = plan_of('"read.now_s" = [86400.0, 3e7]\n"read.compensation" = ["none", "global"]', device=device)
    replicates = [(0, 0), (0, 1), (1, 0)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [evaluate_now(cell, 0, replicates, artifacts) for cell in plan.cells]
        alone = [evaluate_now(plan.cells[-1], 0, [one], artifacts)[0] for one in replicates]
    flags = [["extrapolated" in values for values in of_cell] for of_cell in found]
    assert flags == [[False] * 3] * 2 + [[True] * 3] * 2
    assert alone == found[-1]


def test_states_beyond_what_a_device_was_measured_for_say_so_at_any_time(plan_of, tmp_path):
    artifacts = Artifacts(tmp_path / "artifacts")
    plan = plan_of('"chip.cell.valid.g_high_S" = [10e-6, 30e-6]', "chip.cell.valid.beyond_states=warning")
    flags = ["extrapolated" in evaluate_now(cell, 0, [(0, 0)], artifacts)[0] for cell in plan.cells]
    assert flags == [True, False]


def test_other_warnings_are_shown_as_ever():
    found = []

    def warn():
        with extrapolations(found):
            warnings.warn("overflow", RuntimeWarning, stacklevel=1)
            warnings.warn("too late", ExtrapolationWarning, stacklevel=1)

    with pytest.warns(RuntimeWarning, match="overflow"):
        warn()
    assert found == ["too late"]


def test_cells_that_differ_in_their_reads_alone_give_what_they_give_in_any_order(plan_of, tmp_path):
    artifacts = Artifacts(tmp_path / "artifacts")
    plan = plan_of('"chip.adc.bits" = [3, 8]\n"read.now_s" = [1.0, 1000.0]')
    forth = accuracies(plan, artifacts)
    back = [accuracies_of_one(cell, artifacts) for cell in reversed(plan.cells)][::-1]
    assert forth == back
    assert len(np.unique(forth)) > 1


def accuracies_of_one(cell, artifacts):
    return [values["accuracy"] for values in evaluate_now(cell, 0, [(0, 0)], artifacts)]
