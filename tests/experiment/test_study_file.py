"""A study's file is a contract: what it says is what runs, and all that is wrong with it is told before it runs."""

import tomllib
from collections import Counter

import pytest

from imcsim.errors import SpecError
from imcsim.experiment.study_file import read_study
from imcsim.specs.library import device_folder
from imcsim.study.axes import Replicates
from imcsim.study.questions import PlotSpec

# the study of the issue, to the letter
CONTRACT = """
name       = "accuracy_vs_bits"
dataset    = "digits"
seed       = 0

[replicates]
trainings = 5                # initial weights and data order
dies      = 3                # mismatch; a point is evaluated trainings x dies x reads times
reads     = 1                # read noise

[network]
kind = "mlp"
hidden = [32]
activation = "relu"

[training]
where = "digital"            # trained in float, then programmed; "chip": trained through the chip (another issue)
rule = "backprop"
epochs = 30
batch_size = 32
optimizer = "adam"
learning_rate = 0.003

[chip]
device = "sram8t_65nm"       # a name in device_models/, or a path to a TOML
[chip.array]
rows = 128
mapping = "differential"
cell_bits = 1
weight_bits = 8
weight_scale = "mse"
[chip.dac]
bits = 8                     # bit-serial
[chip.adc]
bits = 8
range = "mse"

[grid]
"chip.array.weight_bits" = [2, 3, 4, 6, 8]
"chip.adc.bits" = [3, 4, 5, 6, 7, 8]

[plot]
kind = "accuracy_vs_bits"
x = "chip.adc.bits"
series = "chip.array.weight_bits"
"""

# a smaller one, for the tests to change
SMALL = """
name = "small"
dataset = "iris"

[replicates]
trainings = 2
dies = 3

[network]
hidden = [4]

[training]
epochs = 5

[chip]
device = "sram8t_65nm"

[grid]
"chip.adc.bits" = [4, 6]
"""
BITS = '"chip.adc.bits" = [4, 6]\n'


@pytest.fixture
def study(tmp_path):
    """Reads a study of this text, changed by settings."""

    def read(text=SMALL, *settings, quick=False):
        path = tmp_path / "study.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_study(path, settings, quick=quick)

    return read


@pytest.fixture
def problems(study, tmp_path):
    """The problems of a study of this text, as text without the study's folder."""

    def read(text=SMALL, *settings, quick=False):
        with pytest.raises(SpecError) as caught:
            study(text, *settings, quick=quick)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return read


def changed(old, new, text=SMALL):
    assert text.count(old) == 1
    return text.replace(old, new)


def sweeping(*lines, text=SMALL):
    """The small study with these lines for its grid."""
    return changed(BITS, "".join(f"{line}\n" for line in lines), text)


def with_chip(section, text=SMALL):
    """The small study with a section [chip...] ahead of its grid."""
    return changed("[grid]", f"{section}\n[grid]", text)


def axes(plan):
    return {axis.path: axis.values for axis in plan.axes}


def chips(plan):
    return [cell.config["chip"] for cell in plan.cells]


def ids(plan):
    return [point.id for point in plan.points]


# ---- the contract


def test_the_study_of_the_issue_has_30_cells_and_450_points(study):
    plan = study(CONTRACT)
    assert plan.name == "accuracy_vs_bits"
    assert axes(plan) == {"chip.array.weight_bits": (2, 3, 4, 6, 8), "chip.adc.bits": (3, 4, 5, 6, 7, 8)}
    assert plan.replicates == Replicates(trainings=5, dies=3, reads=1)
    assert len(plan.cells) == 30
    assert len(plan.points) == 450
    assert len(set(ids(plan))) == 450
    assert plan.plot == PlotSpec(kind="accuracy_vs_bits", x="chip.adc.bits", series="chip.array.weight_bits")
    assert plan.chance == 0.1


def test_every_value_of_the_issue_reaches_its_cell(study):
    for cell in study(CONTRACT).cells:
        config = cell.config
        assert (config["dataset"], config["seed"]) == ("digits", 0)
        assert config["network"] == {"kind": "mlp", "hidden": [32], "activation": "relu"}
        assert config["training"].items() >= tomllib.loads(CONTRACT)["training"].items()
        assert config["chip"]["array"].items() >= {"rows": 128, "mapping": "differential", "cell_bits": 1}.items()
        assert config["chip"]["dac"].items() >= {"kind": "bit_serial", "bits": 8}.items()
        weight_bits, adc_bits = cell.coordinates["chip.array.weight_bits"], cell.coordinates["chip.adc.bits"]
        assert config["chip"]["array"]["weight_bits"] == weight_bits
        assert config["chip"]["adc"].items() >= {"kind": "uniform", "bits": adc_bits, "range": "mse"}.items()


def test_the_cell_comes_from_the_device_model(study):
    figures = tomllib.loads((device_folder() / "sram8t_65nm.toml").read_text())["cell"]
    expected = {key: entry["value"] if isinstance(entry, dict) else entry for key, entry in figures.items()}
    assert all(chip["cell"] == expected for chip in chips(study(CONTRACT)))


def test_the_study_that_ships_is_that_of_the_issue(study):
    shipped = read_study(device_folder().parent / "studies" / "accuracy_vs_bits" / "study.toml")
    assert ids(shipped) == ids(study(CONTRACT))
    assert shipped.toml == study(CONTRACT).toml


def test_cells_differ_where_their_designs_do_and_nowhere_else(study):
    designs = [str(cell.config) for cell in study(CONTRACT).cells]
    assert len(set(designs)) == 30
    first, second = study(CONTRACT).cells[:2]
    assert {**first.config["chip"], "adc": None} == {**second.config["chip"], "adc": None}
    assert {**first.config, "chip": None} == {**second.config, "chip": None}


def test_replicates_do_not_enter_a_cell_so_that_more_of_them_reuse_points(study):
    few, many = study(SMALL), study(SMALL, "replicates.dies=5")
    assert set(ids(few)) < set(ids(many))


def test_what_was_left_out_has_its_default(study):
    plan = study(changed("[replicates]\ntrainings = 2\ndies = 3\n", ""))
    assert plan.replicates == Replicates(trainings=1, dies=1, reads=1)
    assert plan.cells[0].config["seed"] == 0
    assert plan.plot is None


# ---- one study, one set of points, however it is spelt


SPELLINGS = [
    changed("epochs = 5", "epochs = 5\nlearning_rate = 3e-3"),
    changed("epochs = 5", 'optimizer = "adam"\nepochs = 0b101'),
    changed('dataset = "iris"', "dataset = 'iris'\nseed = 0"),
    with_chip("[chip.cell]\nsigma_vt_V = 2.38e-2"),
    with_chip('[chip.adc]\nkind = "uniform"'),
    with_chip("[chip.adc]\nnoise_lsb = 0"),
    SMALL.replace("\n", "\r\n"),
    "chip.device = 'sram8t_65nm'\n" + changed('[chip]\ndevice = "sram8t_65nm"\n', ""),
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_the_same_study_gives_the_same_points_whatever_the_spelling(study, text):
    assert ids(study(text)) == ids(study(SMALL))


def test_whole_numbers_are_the_floats_that_they_equal(study):
    path = '"chip.cell.mismatch_sigma_rel"'
    assert ids(study(sweeping(f"{path} = [0, 1]"))) == ids(study(sweeping(f"{path} = [0.0, 1e0]")))


def test_the_order_of_sections_keys_and_axes_does_not_change_the_points(study):
    two = sweeping(BITS, '"chip.array.weight_bits" = [2, 8]')
    turned = sweeping('"chip.array.weight_bits" = [2, 8]', BITS)
    assert set(ids(study(two))) == set(ids(study(turned)))
    head, *sections = SMALL.split("\n[")
    reordered = head + "".join(f"\n[{section}" for section in reversed(sections))
    assert ids(study(reordered)) == ids(study(SMALL))


def test_a_device_by_name_or_as_a_copy_of_its_file_gives_the_same_points(study, tmp_path):
    (tmp_path / "copy.toml").write_bytes((device_folder() / "sram8t_65nm.toml").read_bytes())
    assert ids(study(changed('"sram8t_65nm"', '"copy.toml"'))) == ids(study(SMALL))


@pytest.mark.parametrize(
    "setting",
    [
        "seed=1",
        "dataset=digits",
        "training.epochs=6",
        "network.hidden=[5]",
        "chip.cell.alpha=1.7",
        "chip.array.rows=64",
    ],
)
def test_a_changed_design_shares_no_point(study, setting):
    assert not set(ids(study(SMALL, setting))) & set(ids(study(SMALL)))


def test_the_name_and_the_plot_are_no_part_of_a_point(study):
    plotted = SMALL + '[plot]\nkind = "accuracy_vs_bits"\nx = "chip.adc.bits"\n'
    assert ids(study(plotted, "name=other")) == ids(study(SMALL))


@pytest.mark.parametrize(
    "text",
    [
        CONTRACT,
        sweeping('"chip.adc" = [{kind = "ideal"}, {bits = 6}]', '"network.hidden" = [[], [4, 4]]'),
        sweeping('"chip.cell.mismatch_sigma_rel" = [0, 0.1]', '"chip.dac.signed" = [true, false]'),
    ],
)
def test_the_text_that_a_plan_keeps_is_a_study_of_the_same_plan(study, text):
    plan = study(text)
    again = study(plan.toml)
    assert ids(again) == ids(plan)
    assert again.config == plan.config
    assert again.toml == plan.toml


def test_the_text_kept_of_a_sweep_over_a_given_mismatch_can_be_read_again(study, tmp_path):
    model = (device_folder() / "sram8t_65nm.toml").read_text()
    model = model.replace(
        'sigma_vt_V = { value = 23.8e-3, unit = "V"', 'mismatch_sigma_rel = { value = 0.1, unit = "1"'
    )
    (tmp_path / "given.toml").write_text(model)
    text = sweeping('"chip.cell.sigma_vt_V" = [0.01, 0.02]', text=changed('"sram8t_65nm"', '"given.toml"'))
    plan = study(text)
    assert ids(study(plan.toml)) == ids(plan)


def test_two_spellings_of_one_device_file_keep_the_same_text(study, tmp_path):
    """They share a folder, and its study.h5 is promised to be the same for every run of the same study."""
    (tmp_path / "copy.toml").write_bytes((device_folder() / "sram8t_65nm.toml").read_bytes())
    in_file, typed = study(changed('"sram8t_65nm"', '"copy.toml"')), study(SMALL, f"chip.device={tmp_path}/copy.toml")
    assert in_file.config == typed.config
    assert in_file.toml == typed.toml


# ---- settings


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("seed=7", "seed", 7),
        ("dataset=digits", "dataset", "digits"),
        ('dataset="digits"', "dataset", "digits"),
        (" dataset = digits ", "dataset", "digits"),
        ("training.learning_rate=1e-2", "training.learning_rate", 0.01),
        ("training.learning_rate=1", "training.learning_rate", 1.0),
        ("network.hidden=[16, 8]", "network.hidden", [16, 8]),
        ("network.hidden=[]", "network.hidden", []),
        ("chip.dac.signed=true", "chip.dac.signed", True),
        ("chip.array.mapping=offset", "chip.array.mapping", "offset"),
        ("chip.cell.v_wl_V=0.8", "chip.cell.v_wl_V", 0.8),
        ("chip.array.rows=0x40", "chip.array.rows", 64),
    ],
)
def test_a_setting_changes_the_value_at_its_path_in_every_cell(study, setting, path, value):
    for cell in study(SMALL, setting).cells:
        found = cell.config
        for key in path.split("."):
            found = found[key]
        assert found == value
        assert type(found) is type(value)


def test_a_setting_replaces_what_the_file_has(study):
    assert study(SMALL, "name=mine", "replicates.dies=1").replicates.dies == 1
    assert study(SMALL, "name=mine").name == "mine"


def test_the_last_of_several_settings_of_a_path_counts(study):
    assert study(SMALL, "seed=1", "seed=2").cells[0].config["seed"] == 2


def test_a_setting_of_a_swept_path_puts_its_value_in_place_of_the_axis(study):
    plan = study(CONTRACT, "chip.adc.bits=5")
    assert axes(plan) == {"chip.array.weight_bits": (2, 3, 4, 6, 8), "chip.adc.bits": (5,)}
    assert len(plan.cells) == 5


@pytest.mark.parametrize("setting", ["grid.chip.adc.bits=[7, 8]", 'grid."chip.adc.bits"=[7, 8]'])
def test_a_setting_of_an_axis_replaces_its_values(study, setting):
    assert axes(study(SMALL, setting)) == {"chip.adc.bits": (7, 8)}


def test_a_setting_of_a_new_axis_adds_it(study):
    assert axes(study(SMALL, "grid.chip.array.rows=[32, 64]")) == {"chip.adc.bits": (4, 6), "chip.array.rows": (32, 64)}


def test_a_setting_can_be_a_component(study):
    plan = study(sweeping('"chip.dac.bits" = [4, 8]'), 'chip.adc={kind="ideal"}')
    assert {chip["adc"]["kind"] for chip in chips(plan)} == {"ideal"}


def test_a_setting_of_a_swept_component_puts_its_table_in_place_of_the_axis(study):
    plan = study(sweeping('"chip.adc" = [{kind = "ideal"}, {bits = 6}]'), "chip.adc={bits=5}")
    assert [chip["adc"]["bits"] for chip in chips(plan)] == [5]


def test_a_setting_of_the_device_is_a_name_or_a_path_from_where_one_stands(study, tmp_path, monkeypatch):
    assert "sigma_vt_V" not in chips(study(SMALL, "chip.device=sram_ideal"))[0]["cell"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.toml").write_bytes((device_folder() / "sram_ideal.toml").read_bytes())
    monkeypatch.chdir(tmp_path / "elsewhere")
    for path in ("mine.toml", "./mine.toml", "../elsewhere/mine.toml"):
        assert chips(study(SMALL, f"chip.device={path}"))[0]["cell"]["kind"] == "sram"


def test_a_mismatch_that_is_set_overrides_the_one_that_the_device_derives(study):
    cell = chips(study(SMALL, "chip.cell.mismatch_sigma_rel=0.2"))[0]["cell"]
    assert cell["mismatch_sigma_rel"] == 0.2
    assert "sigma_vt_V" not in cell


def test_a_mismatch_that_is_set_overrides_the_one_that_the_file_derives(study):
    text = with_chip("[chip.cell]\nsigma_vt_V = 0.03")
    assert chips(study(text, "chip.cell.mismatch_sigma_rel=0.2"))[0]["cell"]["mismatch_sigma_rel"] == 0.2


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("chip.adc.bits", '--set = "chip.adc.bits": must be path=value; as in chip.adc.bits=6'),
        ("=6", '--set = "=6": must be path=value; as in chip.adc.bits=6'),
        ("chip..bits=6", '--set = "chip..bits=6": must be path=value; as in chip.adc.bits=6'),
        ("", '--set = "": must be path=value; as in chip.adc.bits=6'),
        ("seed=", "--set: seed: is not a TOML value"),
        ("network.hidden=[16", "--set: network.hidden = [16: is not a TOML value"),
        ("seed=a b", "--set: seed = a b: is not a TOML value"),
        ("chip.adc.bits=40", "--set: chip.adc.bits = 40: must be an integer from 1 to 16"),
        ("chip.adc.bits=six", '--set: chip.adc.bits = "six": must be an integer from 1 to 16'),
        ("chip.adc.bits=6.0", "--set: chip.adc.bits = 6.0: must be an integer from 1 to 16"),
        ("chip.adc.bits=true", "--set: chip.adc.bits = true: must be an integer from 1 to 16"),
        ("chip.array.rows=0", "--set: chip.array.rows = 0: must be an integer from 1 to 1024"),
        ("chip.cell.alpha=nan", "--set: chip.cell.alpha = nan: must be a finite number from 1 to 2.5"),
        ("chip.cell.alpha=inf", "--set: chip.cell.alpha = inf: must be a finite number from 1 to 2.5"),
        ("dataset=irs", '--set: dataset = "irs": no such data set; did you mean "iris"?'),
        ("chip.adc.bts=5", '--set: chip.adc.bts: unknown key "bts"; did you mean "bits"?'),
        ("grid.chip.adc.bits=6", "--set: chip.adc.bits = 6: must be a list of at least one value"),
        ("grid.chip.adc.bits=[]", "--set: chip.adc.bits = []: must be a list of at least one value"),
        ("grid.chip.adc.bts=[5]", '--set: chip.adc.bts: no such path to sweep; did you mean "chip.adc.bits"?'),
        ("network.hidden.size=5", '--set: network.hidden.size = 5: "hidden" is not a table'),
        ("replicates=5", "--set: replicates = 5: must be a table"),
        (
            "chip.adc={bits=5}",
            (
                '--set: chip.adc = {bits = 5}: cannot be set: the study sweeps "chip.adc.bits"; '
                'set "grid.chip.adc.bits" itself'
            ),
        ),
    ],
)
def test_a_wrong_setting_is_told_as_such(problems, setting, told):
    assert problems(SMALL, setting) == [told]


def test_a_setting_inside_a_swept_component_is_refused(problems):
    told = problems(sweeping('"chip.adc" = [{kind = "ideal"}, {bits = 6}]'), "chip.adc.bits=5")
    assert told == ['--set: chip.adc.bits = 5: cannot be set: the study sweeps "chip.adc"; set "grid.chip.adc" itself']


def test_problems_of_settings_and_of_the_file_each_name_their_source(problems):
    told = problems(changed("epochs = 5", "epochs = 0"), "chip.array.rows=0", "replicates.dies=-1")
    assert set(told) == {
        "study.toml: [training] epochs = 0: must be an integer from 1 to 100000",
        "--set: chip.array.rows = 0: must be an integer from 1 to 1024",
        "--set: replicates.dies = -1: must be an integer from 1 to 100000",
    }


def test_all_wrong_settings_are_told_at_once(problems):
    assert len(problems(SMALL, "foo", "bar")) == 2


@pytest.mark.parametrize("setting", ["chp.adc.bits=5", "chip.adcs.bits=5"])
def test_a_misspelt_section_of_a_setting_is_told_as_of_the_setting(problems, setting):
    assert all(line.startswith("--set: ") for line in problems(SMALL, setting))


def test_a_setting_that_contradicts_the_device_is_told_as_of_the_setting(problems):
    (told,) = problems(SMALL, "chip.cell.v_t_V=0.8")
    assert "--set" in told


@pytest.mark.parametrize("value", ["{}", "5"])
def test_a_setting_of_the_whole_grid_is_told_by_its_name(problems, value):
    assert all("grid" in line for line in problems(SMALL, f"grid={value}"))


def test_a_setting_of_several_lines_is_refused(problems):
    problems(SMALL, "seed=1\nreplicates.dies=2")


# ---- the grid


def test_a_component_can_be_swept_by_tables_whose_kind_is_uniform_unless_they_say_otherwise(study):
    grid = '"chip.adc" = [{kind = "ideal"}, {kind = "uniform", bits = 6, range = "full"}, {bits = 5}]'
    ideal, full, default = (chip["adc"] for chip in chips(study(sweeping(grid))))
    assert ideal == {"kind": "ideal"}
    assert full.items() >= {"kind": "uniform", "bits": 6, "range": "full"}.items()
    assert default.items() >= {"kind": "uniform", "bits": 5, "range": "mse"}.items()


def test_a_table_of_the_chips_own_kind_keeps_what_it_does_not_name(study):
    text = with_chip("[chip.adc]\nnoise_lsb = 0.5", sweeping('"chip.adc" = [{bits = 6}, {kind = "uniform", bits = 7}]'))
    assert [(chip["adc"]["bits"], chip["adc"]["noise_lsb"]) for chip in chips(study(text))] == [(6, 0.5), (7, 0.5)]


def test_a_cell_can_be_swept_by_tables(study):
    text = sweeping('"chip.cell" = [{kind = "sram"}, {v_wl_V = 0.8}, {mismatch_sigma_rel = 0.1}]')
    ideal, fast, given = (chip["cell"] for chip in chips(study(text)))
    assert ideal == {"kind": "sram", "mismatch_sigma_rel": 0.0, "mismatch_law": "normal", "read_noise_rel": 0.0}
    assert (fast["v_wl_V"], fast["sigma_vt_V"]) == (0.8, 0.0238)
    assert given["mismatch_sigma_rel"] == 0.1
    assert "sigma_vt_V" not in given


def test_components_and_fields_of_others_are_swept_together(study):
    text = sweeping('"chip.adc" = [{kind = "ideal"}, {bits = 6}]', '"chip.array.rows" = [32, 64]')
    found = [(chip["adc"]["kind"], chip["array"]["rows"]) for chip in chips(study(text))]
    assert found == [("ideal", 32), ("ideal", 64), ("uniform", 32), ("uniform", 64)]


def test_the_network_and_the_training_can_be_swept(study):
    text = sweeping('"network.hidden" = [[], [8]]', '"training.optimizer" = ["sgd", "adam"]')
    assert Counter(
        (str(c.config["network"]["hidden"]), c.config["training"]["optimizer"]) for c in study(text).cells
    ) == {(hidden, optimizer): 1 for hidden in ("[]", "[8]") for optimizer in ("sgd", "adam")}


def test_a_swept_mismatch_overrides_the_derived_one(study):
    plan = study(sweeping('"chip.cell.mismatch_sigma_rel" = [0.0, 0.05, 0.1]'))
    assert [chip["cell"]["mismatch_sigma_rel"] for chip in chips(plan)] == [0.0, 0.05, 0.1]
    assert all("sigma_vt_V" not in chip["cell"] for chip in chips(plan))


def test_a_swept_mismatch_overrides_the_one_that_the_file_derives(study):
    text = with_chip("[chip.cell]\nsigma_vt_V = 0.03", sweeping('"chip.cell.mismatch_sigma_rel" = [0.0, 0.1]'))
    assert all("sigma_vt_V" not in chip["cell"] for chip in chips(study(text)))


MISMATCH = '"chip.cell.mismatch_sigma_rel" = [0.0, 0.1]'
TOGETHER = "cannot be swept together with a given chip.cell.mismatch_sigma_rel"


@pytest.mark.parametrize(
    "axis",
    [
        '"chip.cell.v_wl_V" = [0.6, 0.7]',
        '"chip.cell.sigma_vt_V" = [0.01, 0.02]',
        '"chip.cell.alpha" = [1.5, 2]',
        '"chip.cell.temperature_K" = [250, 350]',
        '"chip.cell.vt_per_K" = [-1e-3, 0]',
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_mismatch_is_not_swept_together_with_what_it_is_derived_from(problems, axis, turned):
    (told,) = problems(sweeping(*([axis, MISMATCH] if turned else [MISMATCH, axis])))
    assert told.startswith(f"study.toml: [grid] {axis.split(chr(34))[1]}: {TOGETHER}")


def test_a_capacitors_mismatch_is_not_swept_together_with_its_law(problems):
    text = changed('"sram8t_65nm"', '"sram_cap_28nm"')
    (told,) = problems(sweeping(MISMATCH, '"chip.cell.kappa_sqrtF" = [1e-10, 2e-10]', text=text))
    assert told.startswith(f"study.toml: [grid] chip.cell.kappa_sqrtF: {TOGETHER}")


def test_a_capacitors_mismatch_is_swept_together_with_the_temperature_that_does_not_derive_it(study):
    text = changed('"sram8t_65nm"', '"sram_cap_28nm"')
    assert len(study(sweeping(MISMATCH, '"chip.cell.temperature_K" = [250, 350]', text=text)).cells) == 4


@pytest.mark.parametrize(
    ("axis", "aside"),
    [
        ('"chip.cell.swing_V" = [0.5, 0.8]', {"v_bl_min_V"}),
        ('"chip.cell.leakage_rel" = [0.0, 1e-3]', {"leak_A", "leak_doubling_K"}),
    ],
)
def test_a_swept_number_sets_aside_what_it_is_derived_from_and_its_text_can_be_read_again(study, axis, aside):
    plan = study(sweeping(axis))
    derived = study(SMALL)
    for chip in chips(plan):
        name = axis.split('"')[1].removeprefix("chip.cell.")
        assert set(chips(derived)[0]["cell"]) - set(chip["cell"]) == aside
        assert set(chip["cell"]) - set(chips(derived)[0]["cell"]) == {name}
    assert ids(study(plan.toml)) == ids(plan)


def test_a_threshold_spread_is_not_swept_where_the_mismatch_is_given(problems, study):
    text = with_chip("[chip.cell]\nmismatch_sigma_rel = 0.1", sweeping('"chip.cell.sigma_vt_V" = [0.01, 0.02]'))
    (told,) = problems(text)
    assert TOGETHER in told
    # the word-line voltage sets the swing as well
    assert len(study(text.replace("sigma_vt_V", "v_wl_V").replace("[0.01, 0.02]", "[0.6, 0.7]")).cells) == 2


def test_a_threshold_spread_is_not_set_where_the_mismatch_is_swept(problems):
    """It would be heard by no cell."""
    problems(sweeping(MISMATCH), "chip.cell.sigma_vt_V=0.05")


def test_numbers_texts_switches_and_lists_can_be_swept(study):
    text = sweeping(
        '"chip.array.mapping" = ["offset", "differential"]',
        '"chip.dac.signed" = [false, true]',
        '"chip.adc.bits" = [4]',
    )
    assert len(study(text).cells) == 4


# ---- what can be wrong with a grid


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (['"chip.adc.bits" = [4, "six"]'], ['"chip.adc.bits"[1] = "six": must be an integer from 1 to 16']),
        (['"chip.adc.bits" = [4, 6.0]'], ['"chip.adc.bits"[1] = 6.0: must be an integer from 1 to 16']),
        (['"chip.adc.bits" = [true, 4]'], ['"chip.adc.bits"[0] = true: must be an integer from 1 to 16']),
        (['"chip.adc.bits" = [4, [6]]'], ['"chip.adc.bits"[1] = [6]: must be an integer from 1 to 16']),
        (
            ['"chip.adc.bits" = [0, 4, 17]'],
            [
                '"chip.adc.bits"[0] = 0: must be an integer from 1 to 16',
                '"chip.adc.bits"[2] = 17: must be an integer from 1 to 16',
            ],
        ),
        (['"chip.adc.bits" = [40]'], ["chip.adc.bits = 40: must be an integer from 1 to 16"]),
        (
            ['"chip.cell.alpha" = [nan, 1.5]'],
            ['"chip.cell.alpha"[0] = nan: must be a finite number from 1 to 2.5'],
        ),
        (
            ['"chip.array.mapping" = ["offset", "differental"]'],
            [
                (
                    '"chip.array.mapping"[1] = "differental": must be one of "differential", '
                    '"differential_two_sided", "offset", "twos_complement"'
                )
            ],
        ),
        (['"chip.adc.bits" = []'], ["chip.adc.bits = []: must be a list of at least one value"]),
        (['"chip.adc.bits" = 4'], ["chip.adc.bits = 4: must be a list of at least one value"]),
        (['"chip.adc.bits" = "4"'], ['chip.adc.bits = "4": must be a list of at least one value']),
        (['"chip.adc.bits" = {a = 1}'], ["chip.adc.bits = {a = 1}: must be a list of at least one value"]),
        (['"chip.adc.bits" = [4, 4]'], ["chip.adc.bits: has a value twice: 4"]),
        (
            ['"chip.cell.read_noise_rel" = [0, 0.1, 0.0]'],
            ["chip.cell.read_noise_rel: has a value twice: 0.0"],
        ),
        (
            ['"chip.adc" = [{bits = 4, range = "mse"}, {range = "mse", bits = 4}]'],
            ["chip.adc: has a value twice: uniform bits=4 range=mse"],
        ),
        (['"chip.adc.bit" = [4]'], ['chip.adc.bit: no such path to sweep; did you mean "chip.adc.bits"?']),
        (['"adc.bits" = [4]'], ['adc.bits: no such path to sweep; did you mean "chip.adc.bits"?']),
        (
            ['"chip.cell.mismatch_sigma" = [0.1]'],
            ['chip.cell.mismatch_sigma: no such path to sweep; did you mean "chip.cell.mismatch_sigma_rel"?'],
        ),
        (
            [BITS, '"chip.adc" = [{kind = "ideal"}]'],
            ['chip.adc.bits: lies inside "chip.adc", which is swept, too; sweep one of them'],
        ),
        (['"chip.adc" = ["ideal"]'], ['chip.adc = "ideal": must be a table']),
        (
            ['"chip.adc" = [{kind = "ideal"}, {kind = "unifrm"}]'],
            [
                (
                    '"chip.adc"[1].kind = "unifrm": must be one of '
                    '"ideal", "uniform", "sar", "ramp", "flash", "pipeline", "measured"; did you mean "uniform"?'
                )
            ],
        ),
        (
            ['"chip.adc" = [{kind = "ideal"}, {bits = 40}]'],
            ['"chip.adc"[1].bits = 40: must be an integer from 1 to 16'],
        ),
        (['"chip.adc" = [{bts = 4}]'], ['"chip.adc".bts: unknown key "bts"; did you mean "bits"?']),
        (
            ['"chip.cell.v_wl_V" = [0.3, 0.7]'],
            ['"chip.cell.v_wl_V"[0] = 0.3: must exceed v_t_V: below it the cell does not conduct'],
        ),
    ],
)
def test_a_wrong_grid_is_told_by_path_and_index(problems, lines, told):
    expected = [f"study.toml: [grid] {line}" for line in told]
    found = problems(sweeping(*lines))
    if lines == ['"chip.adc" = [{bts = 4}]']:  # a single value may be named with or without its index
        found = [line.replace('"chip.adc"[0]', '"chip.adc"') for line in found]
    assert found == expected


def test_an_empty_or_a_missing_grid_is_refused(problems):
    for text in (changed(BITS, ""), changed(f"[grid]\n{BITS}", "")):
        (told,) = problems(text)
        assert told.startswith("study.toml: grid: is empty: a study sweeps at least one path")


@pytest.mark.parametrize("grid", ["[[grid]]\n", ""])
def test_a_grid_that_is_no_table_is_not_called_empty(problems, grid):
    text = changed("[grid]\n", grid) if grid else "grid = 5\n" + changed(f"[grid]\n{BITS}", "")
    assert len(problems(text)) == 1


def test_a_path_without_its_quotes_is_told_to_be_quoted(problems):
    (told,) = problems(sweeping("chip.adc.bits = [4, 6]"))
    assert '"chip.adc.bits"' in told


def test_every_path_without_its_quotes_is_told_to_be_quoted(problems):
    told = problems(sweeping("chip.adc.bits = [4, 6]", "chip.dac.bits = [4, 6]", '"chip.array.rows" = [32, 64]'))
    assert len(told) == 2
    assert all("quotes" in line for line in told)


@pytest.mark.parametrize(
    ("axis", "value"),
    [('"chip.cell.v_t_V" = [0.4, 0.8]', "0.8"), ('"chip.cell.swing_V" = [0.8, 5.0]', "5.0")],
)
def test_a_swept_value_that_contradicts_another_field_is_named_itself(problems, axis, value):
    (told,) = problems(sweeping(axis))
    assert f"[1] = {value}:" in told


def test_cells_that_cannot_be_are_told_with_their_values(problems):
    text = sweeping('"chip.cell.v_wl_V" = [0.5, 0.7]', '"chip.cell.v_t_V" = [0.4, 0.6]')
    (told,) = problems(text)
    assert "must exceed v_t_V" in told
    assert "chip.cell.v_wl_V = 0.5, chip.cell.v_t_V = 0.6" in told


def test_a_swept_integer_beyond_64_bits_is_refused(problems):
    problems(sweeping(f'"training.batch_size" = [32, {2**70}]'))


def test_a_study_of_ten_milliard_points_is_refused(problems):
    problems(SMALL, "replicates.trainings=100000", "replicates.dies=100000")


# ---- the rest of the file


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"iris"', '"irs"', 'study.toml: dataset = "irs": no such data set; did you mean "iris"?'),
        ('"iris"', "5", "study.toml: dataset = 5: must be a string"),
        ('dataset = "iris"\n', "", "study.toml: dataset: is missing; must be a string"),
        ('"iris"', '"iris"\nseed = -1', "study.toml: seed = -1: must be an integer from 0 to"),
        ('"iris"', '"iris"\nseed = 1.5', "study.toml: seed = 1.5: must be an integer from 0 to"),
        ('name = "small"', "name = 5", "study.toml: name = 5: must be letters"),
        ('"small"', '"../small"', 'study.toml: name = "../small": must be letters'),
        ('"small"', '""', 'study.toml: name = "": must be letters'),
        ('"small"', '".small"', 'study.toml: name = ".small": must be letters'),
        ('"small"', '"a\\n"', 'study.toml: name = "a\\n": must be letters'),
        ('name = "small"', "", "study.toml: name: must be letters"),
        ('name = "small"', 'name = "small"\ncolour = "blue"', 'study.toml: colour: unknown key "colour"; known: name'),
        ("[training]", "[traning]", 'study.toml: traning: unknown key "traning"; did you mean "training"?'),
        ("dies = 3", "dies = 0", "study.toml: [replicates] dies = 0: must be an integer from 1 to 100000"),
        ("dies = 3", "die = 3", 'study.toml: [replicates] die: unknown key "die"; did you mean "dies"?'),
        ("dies = 3", "dies = true", "study.toml: [replicates] dies = true: must be an integer from 1 to 100000"),
        ("hidden = [4]", "", "study.toml: [network] hidden: is missing"),
        ("hidden = [4]", "hidden = 4", "study.toml: [network] hidden = 4: must be a list, each an integer"),
        ("hidden = [4]", "hidden = [0]", "study.toml: [network] hidden = [0]: must be a list, each an integer"),
        (
            "hidden = [4]",
            'hidden = [4]\nactivation = "rellu"',
            'study.toml: [network] activation = "rellu": must be one',
        ),
        ("epochs = 5", "epochs = 5.0", "study.toml: [training] epochs = 5.0: must be an integer"),
        (
            "epochs = 5",
            'where = "cloud"',
            'study.toml: [training] where = "cloud": must be one of "digital", "ideal", "chip"',
        ),
        ("epochs = 5", "learning_rate = 0", "study.toml: [training] learning_rate = 0.0: must be greater than 0"),
        (
            "epochs = 5",
            "momentum = 0.9",
            'study.toml: [training] momentum = 0.9: has no meaning with optimizer = "adam"',
        ),
        ("epochs = 5", "epoch = 5", 'study.toml: [training] epoch: unknown key "epoch"; did you mean "epochs"?'),
        (
            '"sram8t_65nm"',
            '"sram8t"',
            'study.toml: [chip] device: no device model "sram8t"; did you mean "sram8t_65nm"?',
        ),
        ('"sram8t_65nm"', "5", "study.toml: [chip] device = 5: must be the name of a device model or the path"),
        ('device = "sram8t_65nm"', "", "study.toml: [chip] device: must be the name of a device model or the path"),
        ('"sram8t_65nm"', '"none.toml"', "none.toml: no such file"),
        ('"sram8t_65nm"', '"sram8t_65nm"\nhue = 1', 'study.toml: [chip] hue: unknown key "hue"; known: cell'),
        ("[grid]", "[chip.adcs]\nbits = 4\n[grid]", 'study.toml: [chip] adcs: unknown key "adcs"; did you mean "adc"?'),
        (
            "[grid]",
            "[chip.adc]\nbits = 40\n[grid]",
            "study.toml: [chip.adc] bits = 40: must be an integer from 1 to 16",
        ),
        ("[grid]", "[chip.array]\ncell_bits = 9\n[grid]", "study.toml: [chip.array] cell_bits = 9: must be an integer"),
        (
            "[grid]",
            '[chip.dac]\nkind = "one_shot"\nsigned = true\n[grid]',
            "study.toml: [chip.dac] signed = true: a bit line only discharges",
        ),
        (
            "[grid]",
            "[chip.cell]\nsigma_vt_V = 0.02\nmismatch_sigma_rel = 0.1\n[grid]",
            "study.toml: [chip.cell] mismatch_sigma_rel: give either sigma_vt_V",
        ),
        ("[grid]", '[plot]\nx = "chip.adc.bits"\n[grid]', "study.toml: [plot] kind: is missing"),
        (
            "[grid]",
            '[plot]\nkind = "pie"\nx = "chip.adc.bits"\n[grid]',
            'study.toml: [plot] kind = "pie": must be one of',
        ),
        ("[grid]", '[plot]\nkind = "accuracy_vs_bits"\nx = 5\n[grid]', "study.toml: [plot] x = 5: must be a string"),
        (
            "[grid]",
            '[plot]\nkind = "accuracy_vs_bits"\nx = "chip.adc.bit"\n[grid]',
            'study.toml: [plot] x = "chip.adc.bit": must be a swept path; did you mean "chip.adc.bits"?',
        ),
        (
            "[grid]",
            '[plot]\nkind = "accuracy_vs_bits"\nx = "chip.adc.bits"\nseries = "chip.array.rows"\n[grid]',
            'study.toml: [plot] series = "chip.array.rows": must be a swept path',
        ),
        (
            "[grid]",
            '[plot]\nkind = "accuracy_vs_bits"\nx = "chip.adc.bits"\nseries = "chip.adc.bits"\n[grid]',
            'study.toml: [plot] series = "chip.adc.bits": must differ from x',
        ),
    ],
)
def test_a_wrong_study_is_told_by_file_and_key(problems, old, new, told):
    (line,) = problems(changed(old, new)) if new != "[traning]" else problems(changed(old, new))[:1]
    assert line.startswith(told)


@pytest.mark.parametrize("section", ["replicates", "network", "training", "chip", "plot"])
@pytest.mark.parametrize("wrong", ["5", '"x"', "[]", "true"])
def test_a_section_that_is_no_table_is_refused(problems, section, wrong):
    text = SMALL.replace(f"[{section}]\n", f"[x{section}]\n")
    told = problems(f"{section} = {wrong}\n{text}")
    assert f"study.toml: {section} = {wrong}: must be a table" in told


@pytest.mark.parametrize("kind", ['"cnn"', "5", "[]"])
def test_a_network_of_an_unknown_kind_is_refused(problems, kind):
    (told,) = problems(changed("hidden = [4]", f"hidden = [4]\nkind = {kind}"))
    assert told.startswith(f'study.toml: [network] kind = {kind}: must be one of "mlp"')


def test_a_swept_network_of_an_unknown_kind_is_refused(problems):
    problems(sweeping('"network.kind" = ["mlp", "cnn"]'))


def test_signed_activations_on_a_chip_without_signed_inputs_are_refused(problems):
    text = changed("hidden = [4]", 'hidden = [4]\nactivation = "tanh"', with_chip('[chip.dac]\nkind = "one_shot"'))
    (told,) = problems(text)
    assert told.startswith('study.toml: [chip.dac] signed = true: needed for the activation "tanh": a bit line only')


def test_a_network_without_hidden_layers_needs_no_signed_inputs(study):
    study(changed("hidden = [4]", 'hidden = []\nactivation = "tanh"', with_chip('[chip.dac]\nkind = "one_shot"')))


def test_problems_of_all_sections_are_told_at_once(problems):
    text = changed('"small"', '"a b"', changed("dies = 3", "dies = 0", changed("epochs = 5", "epochs = 0")))
    text = with_chip("[chip.adc]\nbits = 0\n[chip.dac]\nbits = 0", changed("hidden = [4]", "hidden = [0]", text))
    text = text.replace('"iris"', "5") + '[plot]\nkind = "pie"\nx = "chip.adc.bits"\n'
    told = "\n".join(problems(text))
    for path in ("name", "dies", "hidden", "epochs", "[chip.adc] bits", "[chip.dac] bits", "dataset", "[plot] kind"):
        assert f"{path} = " in told


@pytest.mark.parametrize(("old", "new"), [('"iris"', '"irs"'), ("[grid]", "[chip.array]\nrows = 0\n[grid]")])
def test_a_wrong_grid_is_told_together_with_what_else_is_wrong(problems, old, new):
    assert len(problems(changed(old, new).replace('"chip.adc.bits" =', '"chip.adc.bitz" ='))) == 2


def test_a_plot_of_what_is_not_swept_is_told_together_with_what_else_is_wrong(problems):
    text = changed("dies = 3", "dies = 0") + '[plot]\nkind = "accuracy_vs_bits"\nx = "chip.dac.bits"\n'
    assert len(problems(text)) == 2


def test_an_empty_file_is_told_all_that_it_lacks(problems):
    told = "\n".join(problems(""))
    assert all(word in told for word in ("name", "device", "hidden", "dataset"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"name = ", "study.toml: not valid TOML: "),
        (b"name = 1\nname = 2", "study.toml: not valid TOML: "),
        (b'name = "\xff"', "study.toml: is not UTF-8 text"),
        (b"#" * 1_000_001, "study.toml: is larger than 1000000 bytes"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "study.toml: not valid TOML: nested too deeply"),
    ],
)
def test_a_malformed_file_is_refused(problems, content, told):
    (line,) = problems(content)
    assert line.startswith(told)


def test_a_missing_study_and_a_folder_are_refused(tmp_path):
    with pytest.raises(SpecError, match="no such file"):
        read_study(tmp_path / "none.toml")
    with pytest.raises(SpecError, match="cannot be read"):
        read_study(tmp_path)


@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize("key", ["epochs", "learning_rate"])
def test_an_absurd_integer_is_refused(problems, key, digits):
    problems(changed("epochs = 5", f"{key} = 1{'0' * digits}"))


@pytest.mark.parametrize("place", ["epochs = 5", 'name = "small"', BITS.strip()])
def test_a_value_nested_by_thousands_of_dots_is_refused(problems, place):
    key = place.split(" = ")[0]
    value = "{a" + ".a" * 2000 + " = 1}"
    problems(changed(place, f"{key} = [{value}]" if place == BITS.strip() else f"{key} = {value}"))


# ---- the device


def test_a_device_path_is_relative_to_the_studys_folder(study, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.toml").write_bytes((device_folder() / "sram_ideal.toml").read_bytes())
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    plan = study(changed('"sram8t_65nm"', '"models/mine.toml"'))
    assert chips(plan)[0]["cell"]["kind"] == "sram"
    monkeypatch.chdir(tmp_path)
    assert ids(read_study(tmp_path / "study.toml")) == ids(plan)


def test_an_absolute_device_path_is_taken_as_it_is(study, tmp_path):
    plan = study(changed('"sram8t_65nm"', f'"{device_folder()}/sram_ideal.toml"'))
    assert chips(plan)[0]["cell"]["kind"] == "sram"


def test_what_is_wrong_with_a_device_file_is_told_by_its_own_name(problems, tmp_path):
    model = (device_folder() / "sram8t_65nm.toml").read_text()
    (tmp_path / "mine.toml").write_text(model.replace("value = 0.4,", "value = 9,"))
    told = problems(changed('"sram8t_65nm"', '"mine.toml"').replace('"iris"', '"irs"'))
    assert told == [
        "mine.toml: [cell] v_t_V = 9: must be a finite number from 0 to 2 (V)",
        'study.toml: dataset = "irs": no such data set; did you mean "iris"?',
    ]


def test_a_device_path_with_a_null_byte_is_refused(problems):
    problems(changed('"sram8t_65nm"', '"a\\u0000.toml"'))


# ---- quick


def test_quick_thins_the_study_out_and_says_so_in_its_name(study):
    plan = study(CONTRACT, quick=True)
    assert plan.name == "accuracy_vs_bits-quick"
    assert axes(plan) == {"chip.array.weight_bits": (2, 4, 8), "chip.adc.bits": (3, 6, 8)}
    assert plan.replicates == Replicates(trainings=2, dies=1, reads=1)
    assert {cell.config["training"]["epochs"] for cell in plan.cells} == {10}


def test_quick_leaves_what_is_small_as_it_is(study):
    text = changed("trainings = 2\ndies = 3", "trainings = 1")
    assert axes(study(text, quick=True)) == {"chip.adc.bits": (4, 6)}
    assert study(text, quick=True).replicates == Replicates(trainings=1, dies=1, reads=1)
    assert ids(study(text, quick=True)) == ids(study(text))


def test_quick_shortens_the_default_training_too(study):
    plan = study(changed("epochs = 5", ""), quick=True)
    assert plan.cells[0].config["training"]["epochs"] == 10


def test_quick_thins_an_axis_that_is_set(study):
    plan = study(SMALL, "grid.chip.dac.bits=[1, 2, 3, 4, 5, 6, 7]", quick=True)
    assert axes(plan)["chip.dac.bits"] == (1, 4, 7)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"small"', "5"),
        ("dies = 3", 'dies = "x"'),
        ("[replicates]\ntrainings = 2\ndies = 3\n", ""),
        ("epochs = 5", "epochs = nan"),
        (BITS, '"chip.adc.bits" = 5\n'),
        ("[grid]\n", "[[grid]]\n"),
        ("[training]\nepochs = 5\n", ""),
    ],
)
def test_quick_hides_nothing_that_is_wrong(study, old, new):
    def wrong(**options):
        try:
            study(changed(old, new), **options)
        except SpecError as error:
            return [problem.path for problem in error.problems]
        return []

    assert wrong(quick=True) == wrong()


# ---- what a component without a kind means


ONE_SHOT = with_chip('[chip.dac]\nkind = "one_shot"')


def test_a_swept_field_of_a_component_leaves_its_kind(study):
    text = ONE_SHOT.replace(BITS, '"chip.dac.bits" = [4, 8]\n')
    assert [chip["dac"]["kind"] for chip in chips(study(text))] == ["one_shot"] * 2


def test_a_section_without_a_kind_keeps_that_of_the_device(study, tmp_path):
    model = (device_folder() / "sram_ideal.toml").read_text()
    (tmp_path / "mine.toml").write_text(model.replace('kind = "bit_serial"', 'kind = "one_shot"'))
    text = changed('"sram8t_65nm"', '"mine.toml"\n[chip.dac]\nbits = 6')
    assert chips(study(text))[0]["dac"]["kind"] == "one_shot"


def test_a_number_beyond_the_range_in_which_its_device_is_believed_is_noted(study):
    assert study(SMALL).warnings == ()
    for text, settings in ((SMALL, ["chip.cell.v_wl_V=0.9"]), (sweeping('"chip.cell.v_wl_V" = [0.7, 0.9]'), [])):
        (note,) = study(text, *settings).warnings
        assert note == "chip.cell.v_wl_V = 0.9 lies outside 0.6 to 0.8 V, where sram8t_65nm is believed"


def test_a_list_set_on_an_axis_that_is_no_list_is_refused_and_not_a_crash(problems):
    assert problems(changed(BITS, '"chip.adc.bits" = 5\n'), "chip.adc.bits=[4]")


def test_a_value_at_odds_with_a_field_that_has_none_is_told_without_a_gap(problems):
    told = problems(sweeping('"chip.adc.range" = ["mse", "given"]'))
    assert told
    assert not any(" = :" in line for line in told)
