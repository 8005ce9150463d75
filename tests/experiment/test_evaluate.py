"""Points of a study: what a design costs in accuracy, with luck shared between the cells that are compared."""

import itertools

import numpy as np
import pytest
from evaluating import evaluate_now

from imcsim import datasets
from imcsim.errors import SpecError
from imcsim.experiment import evaluate as evaluation
from imcsim.experiment import trained as training_artifacts
from imcsim.experiment.evaluate import WORK
from imcsim.experiment.reading import TimedDie
from imcsim.experiment.study_file import read_study
from imcsim.experiment.trained import make_training, training_key
from imcsim.experiment.tune import read_config
from imcsim.network.mlp import logits
from imcsim.rng import child, draw_key
from imcsim.study.axes import Cell
from imcsim.study.statistics import mean_interval
from imcsim.study.store import Artifacts
from imcsim.training import accuracy

STUDY = """
name = "evaluated"
dataset = "digits"

[replicates]
trainings = 5
dies = 3

[network]
hidden = [32]

[training]
epochs = 12

[chip]
device = "sram_ideal"        # 8-bit weights and inputs, an ADC that covers every sum, no noise

[grid]
"""
TRAININGS, DIES = 5, 3
SAMPLE = 1 / len(datasets.load("digits").y_test)  # of accuracy: one test sample more or less

# the quickest scales to find, for the tests that do not ask how good they are
QUICK = ("chip.dac.input_scale=max", "chip.array.weight_scale=max")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """The trainings of all tests of this file: each is made once."""
    return Artifacts(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture
def cells(tmp_path):
    """The cells of a study that sweeps these lines, changed by settings."""

    def read(grid, *settings):
        (tmp_path / "study.toml").write_text(STUDY + grid)
        return read_study(tmp_path / "study.toml", settings).cells

    return read


def measured(cell, artifacts, trainings=1, dies=1, reads=1):
    """Of a cell, each training on each die at each read, in float, too: two arrays (trainings, dies, reads)."""
    replicates = list(np.ndindex(dies, reads))
    found = [evaluate_now(cell, training, replicates, artifacts) for training in range(trainings)]
    return tuple(
        np.array([[values[name] for values in one] for one in found]).reshape(trainings, dies, reads)
        for name in ("accuracy", "accuracy_float")
    )


def accuracies(cell, artifacts, trainings=1, dies=1, reads=1):
    """Of a cell, each training on each die at each read: (trainings, dies, reads)."""
    return measured(cell, artifacts, trainings, dies, reads)[0]


# ---- shared luck


def test_cells_that_differ_in_adc_bits_share_their_dies_so_that_at_high_resolution_they_agree(cells, artifacts):
    settings = ["chip.cell.mismatch_sigma_rel=0.4", "chip.adc.range=mse", *QUICK]
    coarse, fine, finer = (
        accuracies(cell, artifacts, dies=DIES) for cell in cells('"chip.adc.bits" = [2, 13, 15]', *settings)
    )
    np.testing.assert_allclose(fine, finer, atol=1.5 * SAMPLE)
    # negative controls: neither two bits nor another die would pass
    assert np.abs(coarse - finer).max() > 3 * SAMPLE
    assert np.ptp(finer) > 3 * SAMPLE


def test_cells_that_differ_in_adc_bits_share_the_noise_of_their_reads(cells, artifacts):
    settings = ["chip.cell.read_noise_rel=1.0", "chip.adc.range=mse", *QUICK]
    fine, finer = (accuracies(cell, artifacts, reads=4) for cell in cells('"chip.adc.bits" = [13, 15]', *settings))
    np.testing.assert_allclose(fine, finer, atol=1.5 * SAMPLE)
    assert np.ptp(finer) > 3 * SAMPLE


def test_a_chip_without_mismatch_has_the_same_accuracy_on_every_die_and_without_noise_at_every_read(cells, artifacts):
    (cell,) = cells('"chip.adc.bits" = [5]', "chip.adc.range=mse", *QUICK)
    assert np.ptp(accuracies(cell, artifacts, dies=3, reads=2)) == 0


def test_dies_differ_where_there_is_mismatch_and_reads_where_there_is_noise(cells, artifacts):
    (mismatched,) = cells('"chip.cell.mismatch_sigma_rel" = [0.4]', *QUICK)
    on_dies = accuracies(mismatched, artifacts, dies=3, reads=2)
    assert len(set(on_dies[0, :, 0])) > 1
    np.testing.assert_array_equal(on_dies[..., 0], on_dies[..., 1])
    (noisy,) = cells('"chip.cell.read_noise_rel" = [1.0]', *QUICK)
    assert len(set(accuracies(noisy, artifacts, reads=4)[0, 0])) > 1


def test_a_point_is_the_same_alone_and_in_company_in_any_order(cells, artifacts):
    settings = ["chip.cell.mismatch_sigma_rel=0.3", "chip.cell.read_noise_rel=0.5", *QUICK]
    (cell,) = cells('"chip.adc.bits" = [6]', *settings)
    replicates = [(0, 0), (0, 1), (1, 0), (2, 1)]
    together = evaluate_now(cell, 1, replicates, artifacts)
    turned = evaluate_now(cell, 1, replicates[::-1], artifacts)[::-1]
    alone = [evaluate_now(cell, 1, [replicate], artifacts)[0] for replicate in replicates]
    assert together == turned == alone


@pytest.mark.parametrize(
    "settings",
    [
        ("chip.cell.mismatch_sigma_rel=0.3", "chip.cell.read_noise_rel=0.5"),
        ("chip.device=sram8t_65nm", "chip.adc.kind=sar"),
        ("chip.device=pcm", "read.now_s=3600", "read.compensation=per_column"),
        ("chip.device=pcm", "read.now_s=1e11"),  # beyond what was measured
        ("chip.device=pcm", "chip.wires.r_col_ohm=5", "chip.wires.r_row_ohm=5"),
    ],
)
def test_dies_that_are_read_as_an_ensemble_are_to_the_bit_what_each_is_alone(cells, artifacts, monkeypatch, settings):
    (cell,) = cells('"chip.array.rows" = [64]', *QUICK, *settings)
    replicates = [(die, read) for die in (0, 1, 2, 5) for read in (0, 1)]
    together = evaluate_now(cell, 0, replicates, artifacts)
    monkeypatch.setattr(evaluation, "MOST_TOGETHER", 1)
    assert evaluate_now(cell, 0, replicates, artifacts) == together
    assert len({values["accuracy"] for values in together}) > 1


def test_dies_go_together_with_as_many_reads_each_and_in_their_order():
    replicates = [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (4, 0), (4, 1), (5, 0)]
    groups = list(evaluation._groups(replicates, 2))
    assert groups == [[(0, [0]), (1, [0])], [(2, [0])], [(3, [0, 1]), (4, [0, 1])], [(5, [0])]]


def test_an_error_of_one_die_is_told_of_that_die_in_company(cells, artifacts, monkeypatch):
    (cell,) = cells('"chip.adc.bits" = [6]', "chip.cell.mismatch_sigma_rel=0.3", *QUICK)
    broken = draw_key(child(0, "die", 2))

    class Timed(TimedDie):
        def __init__(self, network, key, *others):
            if broken in key:
                raise RuntimeError("die 2")
            super().__init__(network, key, *others)

    sound = evaluate_now(cell, 0, [(die, 0) for die in range(5)], artifacts)
    monkeypatch.setattr(evaluation, "TimedDie", Timed)
    found = WORK.evaluate(cell.config, 0, [(die, 0) for die in range(5)], artifacts)
    assert [next(found), next(found)] == sound[:2]
    with pytest.raises(RuntimeError, match="die 2"):
        next(found)


def test_memory_bounds_how_many_dies_go_together(cells, artifacts, monkeypatch):
    (cell,) = cells('"chip.adc.bits" = [6]', *QUICK)
    design, _ = read_config(cell.config)
    trained = make_training(training_key(design, 0))
    network, _ = evaluation._calibrated(design, 0, trained, datasets.load("digits"))
    assert evaluation._most_together(network, 359) > 4
    assert evaluation._most_together(network, 10**6) == 1


# ---- the float baseline


@pytest.fixture
def trained(monkeypatch):
    """What each call of the digital training gave."""
    results = []

    def spy(*arguments):
        results.append(train(*arguments))
        return results[-1]

    train = training_artifacts.train
    monkeypatch.setattr(training_artifacts, "train", spy)
    return results


def test_each_training_is_done_once_and_shared_by_all_cells(cells, tmp_path, trained):
    artifacts = Artifacts(tmp_path / "artifacts")
    found = cells('"chip.array.weight_bits" = [2, 8]\n"chip.adc.bits" = [4, 8]', "dataset=iris", "network.hidden=[4]")
    accuracy_float = np.array([measured(cell, artifacts, trainings=2)[1] for cell in found])
    assert len(found) == 4
    assert len(trained) == 2
    assert len(list((tmp_path / "artifacts").iterdir())) == 2
    assert np.all(accuracy_float == accuracy_float[0])


def test_a_training_that_is_there_is_not_done_again_and_gives_the_same_points(cells, tmp_path, trained):
    (cell,) = cells('"chip.adc.bits" = [4]', "dataset=iris", "network.hidden=[4]")
    first = evaluate_now(cell, 0, [(0, 0)], Artifacts(tmp_path / "artifacts"))
    again = evaluate_now(cell, 0, [(0, 0)], Artifacts(tmp_path / "artifacts"))
    assert first == again
    assert len(trained) == 1


@pytest.mark.parametrize("setting", ["training.epochs=3", "network.hidden=[5]", "seed=1", "dataset=digits"])
def test_another_recipe_network_seed_or_data_set_is_trained_by_itself(cells, tmp_path, trained, setting):
    artifacts = Artifacts(tmp_path / "artifacts")
    base = ["dataset=iris", "network.hidden=[4]", "training.epochs=2"]
    for settings in (base, [*base, setting]):
        (cell,) = cells('"chip.adc.bits" = [4]', *settings)
        evaluate_now(cell, 0, [(0, 0)], artifacts)
    assert len(trained) == 2


def test_the_float_accuracy_is_that_of_the_trained_network_on_the_test_samples(cells, tmp_path, trained):
    (cell,) = cells('"chip.adc.bits" = [4]', "dataset=iris", "network.hidden=[4]")
    values = evaluate_now(cell, 0, [(0, 0)], Artifacts(tmp_path / "artifacts"))[0]
    data = datasets.load("iris")
    assert values["accuracy_float"] == accuracy(logits(trained[0].mlp, data.x_test), data.y_test)


def test_trainings_differ_from_each_other(cells, tmp_path, trained):
    (cell,) = cells('"chip.adc.bits" = [4]', "dataset=iris", "network.hidden=[4]", "training.epochs=2")
    for training in (0, 1):
        evaluate_now(cell, training, [(0, 0)], Artifacts(tmp_path / "artifacts"))
    assert not np.array_equal(trained[0].mlp.weights[0], trained[1].mlp.weights[0])
    assert trained[0].loss_per_epoch[0] != trained[1].loss_per_epoch[0]


def test_a_cell_that_is_no_design_is_refused(cells, artifacts):
    (cell,) = cells('"chip.adc.bits" = [4]')
    config = {**cell.config, "seed": -1}
    with pytest.raises(SpecError, match="seed = -1"):
        evaluate_now(Cell.of(cell.coordinates, config), 0, [(0, 0)], artifacts)


# ---- what bits cost


def test_eight_bits_and_an_adc_that_covers_every_sum_cost_less_than_half_a_point(cells, artifacts):
    (cell,) = cells('"chip.adc.bits" = [8]')
    on_chip, in_float = measured(cell, artifacts, TRAININGS)
    assert on_chip.mean() == pytest.approx(in_float.mean(), abs=0.005)


def test_an_adc_of_one_step_a_mac_unit_that_covers_every_sum_is_as_good_as_none(cells, artifacts):
    full, none = cells(
        '"chip.adc" = [{bits = 8, range = "full"}, {kind = "ideal"}]', "chip.array.weight_bits=5", *QUICK
    )
    np.testing.assert_array_equal(accuracies(full, artifacts, 2), accuracies(none, artifacts, 2))


def test_two_bit_weights_are_clearly_below_float(cells, artifacts):
    (cell,) = cells('"chip.array.weight_bits" = [2]')
    on_chip, in_float = measured(cell, artifacts, TRAININGS)
    assert mean_interval((in_float - on_chip)[:, :, 0]).low > 0.01


# ---- what mismatch costs

SIGMAS = [0.0, 0.1, 0.2, 0.35, 0.5]


def assert_accuracy_falls(per_sigma):
    """Values (trainings, dies) for each sigma: no step that surely rises, and surely a fall from the first to the last.

    Dies and trainings are the same for every sigma, so that differences have small intervals.
    """
    for smaller, larger in itertools.pairwise(per_sigma):
        assert mean_interval(larger - smaller).low <= 0
    assert mean_interval(per_sigma[0] - per_sigma[-1]).low > 0


def mismatch_sweep(cells, artifacts, *settings):
    found = cells(f'"chip.cell.mismatch_sigma_rel" = {SIGMAS}', *settings)
    return [accuracies(cell, artifacts, TRAININGS, DIES)[:, :, 0] for cell in found]


def test_accuracy_falls_as_mismatch_grows(cells, artifacts):
    per_sigma = mismatch_sweep(cells, artifacts, "chip.dac.bits=6", *QUICK)
    assert_accuracy_falls(per_sigma)
    with pytest.raises(AssertionError):  # negative control
        assert_accuracy_falls(per_sigma[::-1])


@pytest.mark.slow
def test_accuracy_falls_as_the_mismatch_of_the_65_nm_chip_grows(cells, artifacts):
    assert_accuracy_falls(mismatch_sweep(cells, artifacts, "chip.device=sram8t_65nm", "training.epochs=30"))
