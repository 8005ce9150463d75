"""The command line: what a run leaves behind, what it says, and the exit code by which a script knows."""

import csv
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from imcsim import cli
from imcsim.experiment import evaluate as evaluation
from imcsim.specs.library import device_folder, device_names
from imcsim.study.lock import locked
from imcsim.study.store import is_temporary, read_shards
from imcsim.version import MODEL_VERSION, __version__

STUDY = """
name = "tiny"
dataset = "iris"

[network]
hidden = [4]

[training]
epochs = 3
learning_rate = 0.05

[chip]
device = "sram8t_65nm"

[grid]
"chip.array.weight_bits" = [2, 6]
"chip.adc.bits" = [3, 6]

[plot]
kind = "accuracy_vs_bits"
x = "chip.adc.bits"
series = "chip.array.weight_bits"
"""
FIGURES = {f"{stem}.{kind}" for stem in ("accuracy_vs_bits", "heat_map") for kind in ("png", "svg", "pdf")}
IMCSIM = Path(sys.executable).with_name("imcsim")

DONE, SOME_FAILED, WRONG_USAGE, BAD_DATA, INTERRUPTED = 0, 1, 2, 3, 130


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with the tiny study in it, where the commands are given."""
    (tmp_path / "study.toml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def imcsim(capsys):
    """Gives a command in this process: exit code, standard output, standard error; runs are in it, too, unless told."""

    def give(*arguments):
        if arguments[:1] == ("run",) and "--workers" not in arguments:
            arguments = (*arguments, "--workers", "1")
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:  # of argparse
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return give


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of the tiny study, finished; to be read, or copied and spoilt."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "study.toml").write_text(STUDY)
    assert cli.main(["run", str(folder / "study.toml"), "--out", str(folder / "out"), "--workers", "1"]) == DONE
    return folder / "out"


@pytest.fixture
def copy(finished, here):
    """A copy of the finished folder beside its study, to be spoilt: "out"."""
    shutil.copytree(finished, here / "out")
    return here / "out"


def changed(old, new):
    assert STUDY.count(old) == 1
    return STUDY.replace(old, new)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def assert_refused(result, *words, code=WRONG_USAGE):
    """One clear error on standard error, nothing on standard output, no traceback."""
    given, out, err = result
    assert given == code, err
    assert out == ""
    assert "Traceback" not in err
    lines = err.splitlines()
    assert lines
    assert all(line.startswith("imcsim: ") for line in lines), err
    for word in words:
        assert word in err


# ---- run


def test_a_run_leaves_the_results_a_table_and_the_figures(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {"study.h5", "accuracy_vs_bits.csv", "manifest.json", "shards", "artifacts"} | FIGURES
    assert all((finished / name).stat().st_size > 1000 for name in FIGURES)


def test_results_go_to_stdout_and_progress_to_stderr(here, imcsim):
    code, out, err = imcsim("run", "study.toml", "--out", "out")
    assert code == DONE
    assert "4 points computed, 0 reused, 0 failed" in out
    assert all(str(Path("out", name)) in out for name in ("study.h5", "accuracy_vs_bits.csv", *FIGURES))
    assert err.splitlines()[-1] == "tiny: 4 of 4 points, 1 artifacts made"
    assert all(line.startswith("tiny: ") for line in err.splitlines())


def test_results_go_to_a_folder_of_the_studys_name_unless_told_otherwise(here, imcsim):
    assert imcsim("run", "study.toml")[0] == DONE
    assert (here / "results" / "tiny" / "study.h5").is_file()


def test_the_results_hold_every_point_of_the_study(finished):
    with h5py.File(finished / "study.h5") as file:
        assert set(file["chip.adc.bits"][()]) == {3, 6}
        assert file["accuracy"].shape == (4,)
        assert np.all(file["status"][()] == 1)
        assert np.all((file["accuracy"][()] >= 0) & (file["accuracy"][()] <= 1))
        assert file["cube/accuracy"].shape == (2, 2, 1, 1, 1)


def test_the_table_has_a_line_for_each_cell_with_the_numbers_of_the_results(finished):
    rows = list(csv.DictReader((finished / "accuracy_vs_bits.csv").read_text().splitlines()))
    with h5py.File(finished / "study.h5") as file:
        expected = {
            (int(w), int(b)): a
            for w, b, a in zip(
                file["chip.array.weight_bits"][()], file["chip.adc.bits"][()], file["accuracy"][()], strict=True
            )
        }
    found = {(int(r["chip.array.weight_bits"]), int(r["chip.adc.bits"])): float(r["accuracy"]) for r in rows}
    assert found == expected


def test_running_again_does_nothing_new_and_says_so(copy, imcsim):
    before = files(copy)
    code, out, _ = imcsim("run", "study.toml", "--out", "out")
    assert code == DONE
    assert "Nothing to do: all 4 points were in out" in out
    assert files(copy) == before


def test_fresh_folders_of_the_same_study_hold_the_same_bytes(finished, here, imcsim):
    assert imcsim("run", "study.toml", "--out", "again")[0] == DONE
    assert sha256(here / "again" / "study.h5") == sha256(finished / "study.h5")

    def made(folder):  # which results share a file hangs on the time that they took
        own = files(folder).items()
        return {name: content for name, content in own if name != "manifest.json" and not name.startswith("shards")}

    assert made(here / "again") == made(finished)
    assert read_shards(here / "again" / "shards").results == read_shards(finished / "shards").results


def test_the_same_results_come_from_another_process(finished, here):
    subprocess.run([IMCSIM, "run", "study.toml", "--out", "again"], check=True, capture_output=True)
    assert sha256(here / "again" / "study.h5") == sha256(finished / "study.h5")


def test_what_a_damaged_shard_held_is_computed_again(copy, imcsim, finished):
    shard = sorted((copy / "shards").iterdir())[0]
    lost = len(json.loads(shard.read_bytes())["body"]["points"])
    shard.write_bytes(shard.read_bytes()[:-10])
    code, out, err = imcsim("run", "study.toml", "--out", "out")
    assert code == DONE
    assert f"{lost} points computed, {4 - lost} reused, 0 failed" in out
    assert f"{shard.name} was damaged and made again" in err
    assert sha256(copy / "study.h5") == sha256(finished / "study.h5")


def test_a_damaged_file_is_named_by_its_path(copy, imcsim):
    shard = sorted((copy / "shards").iterdir())[0]
    shard.write_bytes(b"x")
    _, _, err = imcsim("run", "study.toml", "--out", "out")
    assert str(Path("out", "shards", shard.name)) in err


def test_a_damaged_study_h5_is_merged_again(copy, imcsim, finished):
    (copy / "study.h5").write_bytes(b"x")
    assert imcsim("run", "study.toml", "--out", "out")[0] == DONE
    assert sha256(copy / "study.h5") == sha256(finished / "study.h5")


def test_a_figure_that_is_missing_is_drawn_by_the_next_run(copy, imcsim):
    """As after a kill between two figures."""
    (copy / "heat_map.pdf").unlink()
    (copy / "heat_map.png").unlink()
    imcsim("run", "study.toml", "--out", "out")
    assert {path.name for path in copy.iterdir()} >= FIGURES


def test_a_run_as_json_is_json_alone_on_stdout(here, imcsim):
    code, out, _ = imcsim("run", "study.toml", "--out", "out", "--json")
    assert code == DONE
    result = json.loads(out)
    assert result["folder"] == "out"
    assert [result[key] for key in ("points", "computed", "reused", "failed")] == [4, 4, 0, 0]
    assert len(result["rows"]) == 4
    code, out, _ = imcsim("run", "study.toml", "--out", "out", "--json")
    assert [json.loads(out)[key] for key in ("points", "computed", "reused", "failed")] == [4, 0, 4, 0]


def test_a_quick_run_is_a_study_of_its_own(here, imcsim):
    assert imcsim("run", "study.toml", "--quick", "--set", "replicates.trainings=3")[0] == DONE
    with h5py.File(here / "results" / "tiny-quick" / "study.h5") as file:
        assert file.attrs["name"] == "tiny-quick"
        assert file["accuracy"].shape == (8,)  # 4 cells x 2 trainings


def test_a_study_without_a_plot_has_results_and_no_figure(here, imcsim):
    (here / "study.toml").write_text(STUDY[: STUDY.index("[plot]")])
    assert imcsim("run", "study.toml", "--out", "out")[0] == DONE
    assert not list((here / "out").glob("*.png"))
    assert (here / "out" / "study.h5").is_file()


def test_settings_reach_the_results(here, imcsim):
    arguments = ("run", "study.toml", "--out", "out", "--set", "chip.adc.bits=5", "--set", "replicates.dies=2")
    assert imcsim(*arguments)[0] == DONE
    with h5py.File(here / "out" / "study.h5") as file:
        assert set(file["chip.adc.bits"][()]) == {5}
        assert set(file["die"][()]) == {0, 1}


# ---- what is refused, with nothing written


def test_forty_bits_are_refused_by_field_value_and_range(here, imcsim):
    before = files(here)
    result = imcsim("run", "study.toml", "--set", "chip.adc.bits=40")
    assert_refused(result, "chip.adc.bits", "40", "an integer from 1 to 16")
    assert files(here) == before


def test_the_installed_command_exits_with_two_and_writes_nothing(here):
    before = files(here)
    result = subprocess.run(
        [IMCSIM, "run", "study.toml", "--set", "chip.adc.bits=40"], capture_output=True, text=True, check=False
    )
    assert result.returncode == WRONG_USAGE
    assert result.stdout == ""
    assert result.stderr == "imcsim: --set: chip.adc.bits = 40: must be an integer from 1 to 16\n"
    assert files(here) == before
    assert {path.name for path in here.iterdir()} == {"study.toml"}


BAD_STUDIES = [
    ("name = ", "not valid TOML"),
    ("\x00", "not valid TOML"),
    ("", "name"),
    (changed('"iris"', '"irs"'), 'dataset = "irs"', 'did you mean "iris"?'),
    (changed('"sram8t_65nm"', '"sram9t"'), 'no device model "sram9t"', 'did you mean "sram8t_65nm"?'),
    (changed('"sram8t_65nm"', '"none.toml"'), "none.toml: no such file"),
    (changed('"chip.array.weight_bits" = [2, 6]\n"chip.adc.bits" = [3, 6]\n', ""), "grid: is empty"),
    (changed("[3, 6]", "[]"), "chip.adc.bits = []: must be a list of at least one value"),
    (changed("[3, 6]", '[3, "6"]'), '"chip.adc.bits"[1] = "6": must be an integer from 1 to 16'),
    (changed("[3, 6]", "[3, 6.5]"), '"chip.adc.bits"[1] = 6.5: must be an integer from 1 to 16'),
    (changed("epochs = 3", "epoch = 3"), 'unknown key "epoch"', 'did you mean "epochs"?'),
    (changed('x = "chip.adc.bits"', 'x = "chip.dac.bits"'), '[plot] x = "chip.dac.bits": must be a swept path'),
]


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(("text", "words"), [(text, words) for text, *words in BAD_STUDIES])
def test_a_bad_study_is_one_clear_error_and_nothing_is_written(here, imcsim, command, text, words):
    (here / "study.toml").write_text(text)
    before = files(here)
    assert_refused(imcsim(command, "study.toml"), *words)
    assert files(here) == before
    assert {path.name for path in here.iterdir()} == {"study.toml"}


def test_a_study_that_is_not_there_is_refused(here, imcsim):
    assert_refused(imcsim("run", "none.toml"), "none.toml: no such file")
    assert_refused(imcsim("run", "."), "cannot be read")
    assert {path.name for path in here.iterdir()} == {"study.toml"}


def test_a_study_that_is_no_text_is_refused(here, imcsim):
    (here / "study.toml").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(range(256)))
    assert_refused(imcsim("run", "study.toml"), "is not UTF-8 text")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "value = 0.4,",
            "value = nan,",
            ["mine.toml", "[cell] v_t_V = nan", "must be a finite number from 0 to 2 (V)"],
        ),
        ('unit = "F"', 'unit = "pF"', ["mine.toml", 'c_bl_F = unit "pF"', 'must be in "F"']),
        ("droop_per_V", "drop_per_V", ["mine.toml", 'unknown key "drop_per_V"', 'did you mean "droop_per_V"?']),
        ("[cell]", "[cell", ["mine.toml", "not valid TOML"]),
    ],
)
def test_a_bad_device_file_is_named_with_its_key(here, imcsim, old, new, words):
    model = (device_folder() / "sram8t_65nm.toml").read_text()
    (here / "mine.toml").write_text(model.replace(old, new, 1))
    (here / "study.toml").write_text(changed('"sram8t_65nm"', '"mine.toml"'))
    before = files(here)
    for result in (imcsim("run", "study.toml"), imcsim("devices", "mine.toml"), imcsim("check", "study.toml")):
        assert_refused(result, *words)
    assert files(here) == before


@pytest.mark.parametrize("setting", ["seed=1", "chip.adc.bits=5", "chip.array.rows=64", "name=other"])
def test_a_folder_of_another_study_is_refused_and_left_as_it_is(copy, imcsim, setting):
    before = files(copy)
    result = imcsim("run", "study.toml", "--out", "out", "--set", setting)
    told = (
        "points that this study does not have" if setting.startswith("chip.adc.bits") else "another study"
    )  # of the grid
    assert_refused(result, f"out: holds results of {told}", setting.split("=")[0], "give another --out")
    assert files(copy) == before


def test_a_folder_that_holds_other_files_is_refused_and_left_as_it_is(here, imcsim):
    (here / "papers").mkdir()
    (here / "papers" / "thesis.txt").write_text("precious")
    assert_refused(imcsim("run", "study.toml", "--out", "papers"), "papers", "thesis.txt")
    assert files(here / "papers") == {"thesis.txt": b"precious"}


def test_a_file_in_place_of_the_folder_is_refused_and_left_as_it_is(here, imcsim):
    (here / "out").write_text("precious")
    assert_refused(imcsim("run", "study.toml", "--out", "out"), "out: is not a folder")
    assert_refused(imcsim("run", "study.toml", "--out", "out/deeper"), "out/deeper")
    assert (here / "out").read_text() == "precious"


@pytest.mark.parametrize("content", [b"\xff", b"[]", b"{}", b"5", b"", b'{"config": 5, "runs": []}'])
def test_a_manifest_that_is_none_is_refused_unless_the_results_say_whose_they_are(copy, imcsim, content):
    (copy / "manifest.json").write_bytes(content)
    shutil.move(copy / "shards", copy.parent / "shards")
    before = files(copy)
    assert_refused(imcsim("run", "study.toml", "--out", "out"), "out: its manifest.json is not one of a study")
    assert files(copy) == before
    shutil.move(copy.parent / "shards", copy / "shards")
    code, out, _ = imcsim("run", "study.toml", "--out", "out")
    assert code == DONE
    assert "Nothing to do: all 4 points were in out" in out


@pytest.mark.parametrize("line", ["5", "{}", "null"])
def test_a_damaged_list_of_failures_does_no_harm(copy, imcsim, line):
    (copy / "failures.jsonl").write_text(f"{line}\n")
    assert imcsim("run", "study.toml", "--out", "out")[0] == DONE


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("runn",),
        ("run",),
        ("run", "study.toml", "--sett"),
        ("run", "study.toml", "--set"),
        ("run", "study.toml", "--colour", "blue"),
        ("run", "study.toml", "chip.adc.bits=6"),
        ("show",),
        ("devices", "a", "b"),
    ],
)
def test_wrong_usage_exits_with_two_and_shows_the_usage(here, imcsim, arguments):
    code, out, err = imcsim(*arguments)
    assert code == WRONG_USAGE
    assert out == ""
    assert "usage: imcsim" in err
    assert {path.name for path in here.iterdir()} == {"study.toml"}


# ---- points that fail


def test_a_point_that_raises_is_recorded_and_the_rest_goes_on(here, imcsim, monkeypatch, finished):
    def failing(config, training, replicates, artifacts):
        if config["chip"]["adc"]["bits"] == 6:
            raise ArithmeticError("out of luck")
        return work.evaluate(config, training, replicates, artifacts)

    work = evaluation.WORK
    monkeypatch.setattr(evaluation, "WORK", work._replace(evaluate=failing))
    code, out, err = imcsim("run", "study.toml", "--out", "out")
    assert code == SOME_FAILED
    assert "2 points computed, 0 reused, 2 failed" in out
    assert f"2 points failed: {Path('out', 'failures.jsonl')} says why" in err
    assert "Traceback" not in err
    records = [json.loads(line) for line in (here / "out" / "failures.jsonl").read_text().splitlines()]
    assert [record["at"]["chip.adc.bits"] for record in records] == [6, 6]
    assert all(record["error"] == "ArithmeticError: out of luck" for record in records)
    assert all("in failing" in record["traceback"] for record in records)
    with h5py.File(here / "out" / "study.h5") as file:
        np.testing.assert_array_equal(np.isnan(file["accuracy"][()]), file["chip.adc.bits"][()] == 6)

    code, out, _ = imcsim("show", "out")
    assert code == DONE
    assert re.search("incomplete.*failed", out)

    monkeypatch.setattr(evaluation, "WORK", work)
    code, out, _ = imcsim("run", "study.toml", "--out", "out")
    assert code == DONE
    assert "2 points computed, 2 reused, 0 failed" in out
    assert not (here / "out" / "failures.jsonl").exists()
    assert sha256(here / "out" / "study.h5") == sha256(finished / "study.h5")


def test_a_study_where_every_point_fails_ends_without_figures_and_can_be_shown(here, imcsim, monkeypatch):
    def failing(*_):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(evaluation, "WORK", evaluation.WORK._replace(evaluate=failing))
    assert imcsim("run", "study.toml", "--out", "out")[0] == SOME_FAILED
    code, out, _ = imcsim("show", "out", "--json")
    assert code == DONE
    assert [row["accuracy"]["mean"] for row in json.loads(out)["rows"]] == [None] * 4
    assert imcsim("plot", "out")[0] == DONE
    assert not list((here / "out").glob("*.png"))


# ---- interrupted

# two points a training, which takes its time: the first line comes with most of the work ahead
LONG = changed("epochs = 3", "epochs = 200").partition("[plot]")[0].replace("[3, 6]", "[3]")
LONG += "[replicates]\ntrainings = 12\n"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_a_folder_that_the_same_command_finishes(here, imcsim, workers, how):
    (here / "study.toml").write_text(LONG)
    command = [IMCSIM, "run", "study.toml", "--out", "cut", "--workers", str(workers)]
    one_thread = {**os.environ, "NUMBA_NUM_THREADS": "1"}  # which must not show in the results
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=one_thread, **pipes) as process:
        first = next(line for line in process.stderr if " 0 of" not in line)  # some points are done
        process.send_signal(how)
        _, err = process.communicate()
    assert first.startswith("tiny: ")
    assert process.returncode == INTERRUPTED
    assert "interrupted; what is finished is kept" in err
    assert "Traceback" not in err
    assert json.loads((here / "cut" / "manifest.json").read_text())["runs"][0]["finished"] is None
    assert [path for path in (here / "cut").rglob("*") if is_temporary(path) or path.name == "study.lock"] == []

    code, out, _ = imcsim("show", "cut")  # what is there can be seen
    assert code == DONE
    assert re.search("incomplete.*missing", out)
    with h5py.File(here / "cut" / "study.h5") as file:
        kept = int(np.sum(file["status"][()] == 1))
    assert 0 < kept < 24

    code, out, _ = imcsim("run", "study.toml", "--out", "cut", "--json")
    assert code == DONE
    resumed = json.loads(out)
    assert (resumed["computed"], resumed["reused"]) == (24 - kept, kept)
    assert imcsim("run", "study.toml", "--out", "whole")[0] == DONE
    assert sha256(here / "cut" / "study.h5") == sha256(here / "whole" / "study.h5")


# ---- workers, one point, estimates, profiles, status


def test_workers_give_the_file_of_one_process(here, imcsim, finished):
    assert imcsim("run", "study.toml", "--out", "two", "--workers", 2)[0] == DONE
    assert sha256(here / "two" / "study.h5") == sha256(finished / "study.h5")


@pytest.mark.parametrize("count", [0, -1, 1025])
def test_a_senseless_number_of_workers_is_refused(here, imcsim, count):
    assert_refused(imcsim("run", "study.toml", "--workers", count), f"--workers = {count}: must be an integer from 1")
    assert not (here / "results").exists()


def test_more_replicates_go_on_in_the_same_folder(copy, imcsim):
    code, out, _ = imcsim("run", "study.toml", "--out", "out", "--set", "replicates.dies=2")
    assert code == DONE
    assert "4 points computed, 4 reused, 0 failed" in out


def test_a_sample_that_grows_goes_on_in_the_same_folder(here, imcsim):
    sample = '[[grid.sample]]\nmethod = "sobol"\npoints = {}\n"chip.cell.read_noise_rel" = {{ linear = [0.0, 0.1] }}\n'
    for points, told in ((2, "2 points computed, 0 reused"), (5, "3 points computed, 2 reused")):
        (here / "study.toml").write_text(STUDY.partition("[grid]")[0] + sample.format(points))
        code, out, _ = imcsim("run", "study.toml", "--out", "out")
        assert code == DONE
        assert told in out


def test_one_point_is_evaluated_alone(here, imcsim):
    points = json.loads(imcsim("check", "study.toml", "--json")[1])["list"]
    [chosen] = [p["id"] for p in points if (p["chip.array.weight_bits"], p["chip.adc.bits"]) == (6, 3)]
    code, out, _ = imcsim("run", "study.toml", "--out", "out", "--only", chosen[:12])
    assert code == DONE
    assert "1 points computed, 0 reused, 0 failed, 3 missing" in out
    place = "chip.array.weight_bits = 6\n  chip.adc.bits = 3\n"
    assert re.search(rf"point {chosen} of tiny\n  {place}.*accuracy = 0", out, re.DOTALL)
    again = imcsim("run", "study.toml", "--out", "out", "--only", chosen)[1]
    assert "0 points computed, 1 reused, 0 failed, 3 missing" in again
    assert_refused(imcsim("run", "study.toml", "--dry-run", "--only", chosen), "--dry-run", "leave one of them out")
    assert list(read_shards(here / "out" / "shards").results) == [chosen]


@pytest.mark.parametrize(("point", "told"), [("zz", "no point of this study has this id"), ("", "4 points begin so")])
def test_a_point_that_is_none_is_refused(here, imcsim, point, told):
    assert_refused(imcsim("run", "study.toml", "--only", point), "--only", told)
    assert not (here / "results").exists()


def test_a_dry_run_tells_points_time_and_disk_and_writes_nothing(here, imcsim):
    before = files(here)
    code, out, _ = imcsim("run", "study.toml", "--dry-run", "--workers", 2)
    assert code == DONE
    assert out.startswith("tiny: 4 of 4 points to do in results")
    assert re.search(r"a point: \d.* 1 artifacts: .*\n  expected: \d.* on 2 workers, \d.* MB", out)
    found = json.loads(imcsim("run", "study.toml", "--dry-run", "--workers", 2, "--json")[1])
    assert (found["points"], found["missing"], found["artifacts"], found["workers"]) == (4, 4, 1, 2)
    assert found["work_s"] == pytest.approx(4 * found["point_s"] + found["artifacts_s"])
    assert files(here) == before


def test_a_profile_says_where_the_time_went(here, imcsim):
    code, _, err = imcsim("run", "study.toml", "--out", "out", "--profile")
    assert code == DONE
    assert "cumtime" in err
    assert "imcsim/network/on_chip.py" in err
    assert (here / "out" / "profile.pstats").stat().st_size > 0
    (here / "foreign").mkdir()
    (here / "foreign" / "thesis.txt").write_text("precious")
    assert_refused(imcsim("run", "study.toml", "--out", "foreign", "--profile"), "thesis.txt")
    assert files(here / "foreign") == {"thesis.txt": b"precious"}
    refused = imcsim("run", "study.toml", "--profile", "--workers", 2)
    assert_refused(refused, "--profile = --workers 2: watches one process; leave one of them out")


def test_status_tells_how_a_folder_stands(copy, imcsim):
    before = files(copy)
    code, out, err = imcsim("status", "out")
    assert (code, err) == (DONE, "")
    assert out.startswith("tiny: 4 of 4 points finished, 0 failed, 0 missing\nnobody is at work")
    state = json.loads(imcsim("status", "out", "--json")[1])
    assert (state["finished"], state["missing"], state["running"]) == (4, 0, None)
    assert files(copy) == before
    assert_refused(imcsim("status", "nowhere"), "nowhere: no such folder")


def test_a_folder_in_use_is_refused_and_left_alone(copy, imcsim):
    with locked(copy):
        before = files(copy)
        assert_refused(imcsim("run", "study.toml", "--out", "out"), "out: is in use by process", "give another --out")
        assert files(copy) == before


def test_a_lock_left_behind_is_told_and_taken(copy, imcsim):
    (copy / "study.lock").write_text('{"pid": 1, "host": "elsewhere", "since": "yesterday"}')
    code, _, err = imcsim("run", "study.toml", "--out", "out")
    assert code == DONE
    assert "was left behind by a run that died (process 1 on elsewhere, since yesterday); taken up from there" in err


# ---- show, plot


def test_show_prints_the_table_of_a_folder(finished, imcsim):
    code, out, err = imcsim("show", finished)
    assert code == DONE
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == "tiny"
    assert lines[1].split()[:2] == ["chip.array.weight_bits", "chip.adc.bits"]
    assert [line.split()[:2] for line in lines[2:6]] == [["2", "3"], ["2", "6"], ["6", "3"], ["6", "6"]]
    assert "chance: 33.33 %" in out


def test_show_as_json_holds_the_same_numbers(finished, imcsim):
    code, out, _ = imcsim("show", finished, "--json")
    assert code == DONE
    summary = json.loads(out)
    assert summary["axes"] == ["chip.array.weight_bits", "chip.adc.bits"]
    with h5py.File(finished / "study.h5") as file:
        assert [row["accuracy"]["mean"] for row in summary["rows"]] == file["accuracy"][()].tolist()


def test_show_changes_nothing(copy, imcsim):
    before = files(copy)
    imcsim("show", "out")
    assert files(copy) == before


REPLICATED = """
[replicates]
trainings = 2
dies = 3
reads = 2
"""


@pytest.fixture(scope="module")
def replicated(tmp_path_factory):
    """The folder of the tiny study with trainings, dies and reads."""
    folder = tmp_path_factory.mktemp("replicated")
    (folder / "study.toml").write_text(STUDY + REPLICATED)
    assert cli.main(["run", str(folder / "study.toml"), "--out", str(folder / "out"), "--workers", "1"]) == DONE
    return folder / "out"


def accuracies(folder):
    """The cube of the tiny study with replicates: (weight bits, ADC bits, trainings, dies, reads)."""
    with h5py.File(folder / "study.h5") as file:
        return file["accuracy"][()].reshape(2, 2, 2, 3, 2)


def test_show_compares_cells_with_their_counterparts_at_the_first_value(replicated, imcsim):
    code, out, err = imcsim("show", replicated, "--compare", "chip.adc.bits")
    assert (code, err) == (DONE, "")
    lines = out.splitlines()
    assert lines[0] == "tiny: chip.adc.bits against 3"
    cube = accuracies(replicated)
    for line, weights, place in zip(lines[2:4], (2, 6), (0, 1), strict=True):
        difference = 100 * (cube[place, 1] - cube[place, 0]).mean()
        assert line.split()[:3] == [str(weights), "6", f"{difference:+.2f}"]
    assert "Holm (1979) over the 2 comparisons" in out


def test_show_compares_with_the_reference_that_is_asked_for(replicated, imcsim):
    _, out, _ = imcsim("show", replicated, "--compare", "chip.array.weight_bits=6", "--json")
    found = json.loads(out)
    assert found["rows"]
    assert found["comparison"]["reference"] == 6
    cube = accuracies(replicated)
    expected = [(cube[0, place] - cube[1, place]).mean() for place in (0, 1)]
    assert [row["difference"]["mean"] for row in found["comparison"]["rows"]] == pytest.approx(expected)


def test_show_tells_the_spread_of_trainings_dies_and_reads_apart(replicated, imcsim):
    code, out, _ = imcsim("show", replicated, "--spread")
    assert code == DONE
    assert out.splitlines()[0] == "tiny: spread"
    (plain, *_) = json.loads(imcsim("show", replicated, "--spread", "--json")[1])["spread"]
    cube = accuracies(replicated)
    assert plain["read"] == pytest.approx(np.sqrt(cube[0, 0].var(axis=2, ddof=1).mean()))
    assert plain["die_worst"] == pytest.approx(cube[0, 0].mean(axis=(0, 2)).min())


def test_show_prints_both_tables_when_asked_for_both(replicated, imcsim):
    _, out, _ = imcsim("show", replicated, "--spread", "--compare", "chip.adc.bits=6")
    assert [line for line in out.splitlines() if line.startswith("tiny")] == [
        "tiny: chip.adc.bits against 6",
        "tiny: spread",
    ]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("chip.adc.bit", 'is not a swept path; did you mean "chip.adc.bits"?'),
        ("chip.adc.bits=5", "chip.adc.bits has no such value; known: 3, 6"),
        ("chip.adc.bits=", "chip.adc.bits has no such value; known: 3, 6"),
        ("", "is not a swept path; known: chip.array.weight_bits, chip.adc.bits"),
    ],
)
def test_show_refuses_what_cannot_be_compared(replicated, imcsim, asked, words):
    assert_refused(imcsim("show", replicated, "--compare", asked), words)


@pytest.mark.parametrize("command", ["show", "plot"])
def test_a_folder_without_results_is_refused(here, imcsim, command):
    assert_refused(imcsim(command, "none"), "none: no such folder")
    assert_refused(imcsim(command, "."), "holds no study.h5")
    assert {path.name for path in here.iterdir()} == {"study.toml"}


def test_plot_draws_the_same_figures_again_into_the_folder(copy, imcsim):
    before = files(copy)
    for name in FIGURES:
        (copy / name).unlink()
    code, out, _ = imcsim("plot", "out")
    assert code == DONE
    assert {Path(line).name for line in out.splitlines()} == {"accuracy_vs_bits.csv"} | FIGURES
    assert files(copy) == before


def test_plot_draws_elsewhere_when_told_to(copy, imcsim, here):
    before = files(copy)
    code, out, _ = imcsim("plot", "out", "--out", "paper/figures", "--json")
    assert code == DONE
    assert {Path(path).name for path in json.loads(out)} == {"accuracy_vs_bits.csv"} | FIGURES
    assert {path.name for path in (here / "paper" / "figures").iterdir()} == {"accuracy_vs_bits.csv"} | FIGURES
    assert files(copy) == before


def test_plot_of_a_study_that_asks_for_none_is_refused(here, imcsim):
    (here / "study.toml").write_text(STUDY[: STUDY.index("[plot]")])
    assert imcsim("run", "study.toml", "--out", "out")[0] == DONE
    assert_refused(imcsim("plot", "out"), "asks for no plot")


def test_a_study_is_given_a_plot_later_as_the_error_advises(here, imcsim):
    (here / "study.toml").write_text(STUDY[: STUDY.index("[plot]")])
    assert imcsim("run", "study.toml", "--out", "out")[0] == DONE
    assert "give its file a [plot] and run it again" in imcsim("plot", "out")[2]
    (here / "study.toml").write_text(STUDY)
    code, out, _ = imcsim("run", "study.toml", "--out", "out", "--json")
    assert code == DONE
    assert json.loads(out)["reused"] == 4
    assert {path.name for path in (here / "out").iterdir()} >= FIGURES


def test_plot_into_a_file_is_refused(copy, imcsim):
    assert_refused(imcsim("plot", "out", "--out", "study.toml"), "study.toml")


# ---- damaged results


SEAL = b"\nimcsim sha256 "  # ahead of the digest of all that precedes it


def rewritten(path, change):
    """Change a study.h5 and seal it again, so that its content alone is what is wrong with it."""
    with h5py.File(path, "r+") as file:
        change(file)
    image = path.read_bytes().partition(SEAL)[0]
    path.write_bytes(image + SEAL + hashlib.sha256(image).hexdigest().encode() + b"\n")


def without(name):
    return lambda file: file.attrs.__delitem__(name)


def attribute(name, value):
    return lambda file: file.attrs.__setitem__(name, value)


def column(name, values):
    def change(file):
        del file[name]
        file[name] = values

    return change


def column_is_a_group(file):
    del file["accuracy"]
    file.create_group("accuracy")


def absurd_column(file):
    """Four terabytes, none of which is on the disk."""
    del file["accuracy"]
    file.create_dataset("accuracy", shape=(10**12,), dtype=np.float32, chunks=(1024,))


@pytest.mark.parametrize("size", [0, 1, 8, 100, 5000, -1])
def test_a_study_h5_that_is_cut_short_is_bad_data(copy, imcsim, size):
    path = copy / "study.h5"
    path.write_bytes(path.read_bytes()[:size])
    for command in ("show", "plot"):
        assert_refused(imcsim(command, "out"), "study.h5: is not a study.h5 of imcsim", code=BAD_DATA)


def test_a_study_h5_that_is_sealed_again_as_it_was_is_sound(copy, imcsim):
    before = (copy / "study.h5").read_bytes()
    rewritten(copy / "study.h5", lambda file: None)
    assert (copy / "study.h5").read_bytes() == before
    rewritten(copy / "study.h5", attribute("name", "renamed"))
    code, out, _ = imcsim("show", "out")
    assert (code, out.splitlines()[0]) == (DONE, "renamed")


@pytest.mark.parametrize(
    "change",
    [
        without("format"),
        without("swept"),
        attribute("format", "other"),
        attribute("format_version", 99),
        attribute("swept", "[5]"),
        attribute("swept", '["none"]'),
        attribute("swept", "no json"),
        attribute("plot", "5"),
        attribute("plot", '{"kind": "pie", "x": "chip.adc.bits"}'),
        lambda file: file.__delitem__("accuracy"),
        column_is_a_group,
    ],
)
def test_a_study_h5_of_another_make_is_bad_data(copy, imcsim, change):
    rewritten(copy / "study.h5", change)
    assert_refused(imcsim("show", "out"), "study.h5: is not a study.h5 of imcsim", code=BAD_DATA)


@pytest.mark.parametrize(
    "change",
    [
        without("name"),
        without("chance"),
        attribute("chance", "x"),
        absurd_column,
        column("accuracy", [0.5]),
        column("accuracy", 0.5),
        column("accuracy", ["a"] * 4),
        column("die", [-1] * 4),
        column("die", [2**31 - 1] * 4),
    ],
)
def test_a_study_h5_of_the_wrong_content_is_bad_data(copy, imcsim, change):
    rewritten(copy / "study.h5", change)
    assert_refused(imcsim("show", "out"), "study.h5", code=BAD_DATA)


def test_a_study_h5_that_links_to_another_file_is_bad_data(copy, imcsim, finished):
    for link in (h5py.ExternalLink(finished / "study.h5", "accuracy"), h5py.SoftLink("/accuracy_float")):
        rewritten(copy / "study.h5", column("accuracy", link))
        assert_refused(imcsim("show", "out"), "study.h5", code=BAD_DATA)


# one process for all, since starting it takes longest; the system ends it where HDF5 loops for ever
SHOW_ALL = """
import contextlib, os, signal, sys
from imcsim import cli
for folder in sys.argv[1:]:
    signal.alarm(10)
    with open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        try:
            code = cli.main(["show", folder])
        except Exception as error:
            code = type(error).__name__
    print(code, flush=True)
"""


def shown(study_files, folder):
    """What `imcsim show` makes of each of these contents of a study.h5: exit codes and names of errors as a set."""
    folders = [folder / f"{number}" for number in range(len(study_files))]
    for place, content in zip(folders, study_files, strict=True):
        place.mkdir()
        (place / "study.h5").write_bytes(content)
    result = subprocess.run([sys.executable, "-c", SHOW_ALL, *folders], capture_output=True, text=True, check=False)
    return {*result.stdout.split(), *(["no end"] if result.returncode else [])}


def test_a_damaged_byte_of_a_study_h5_is_bad_data_or_does_no_harm(finished, here):
    rng = random.Random(0)
    sound = (finished / "study.h5").read_bytes()
    damaged = [bytearray(sound) for _ in range(60)]
    for content in damaged:
        content[rng.randrange(len(sound))] ^= 1 << rng.randrange(8)
    assert shown(damaged, here) <= {str(DONE), str(BAD_DATA)}


def test_a_damaged_heap_of_texts_is_bad_data_and_not_a_command_without_end(finished, here):
    damaged = bytearray((finished / "study.h5").read_bytes())
    # the global heap: a head of 16 bytes, then objects: number, references, reserved, size, their bytes to full eights
    start = place = damaged.index(b"GCOL") + 16
    while int.from_bytes(damaged[place : place + 2], "little"):
        start = place
        place += 16 + -(-int.from_bytes(damaged[place + 8 : place + 16], "little") // 8) * 8
    damaged[start + 9] ^= 2  # the last object ends 512 bytes later, among zeros
    assert shown([damaged], here) == {str(BAD_DATA)}


# ---- check, devices, doctor


def test_check_says_what_would_run_and_writes_nothing(here, imcsim):
    code, out, err = imcsim("check", "study.toml", "--set", "replicates.dies=3")
    assert (code, err) == (DONE, "")
    assert "tiny: sound" in out
    assert "chip.adc.bits: 3, 6" in out
    assert "4 cells x 1 trainings x 3 dies x 1 reads = 12 points" in out
    assert {path.name for path in here.iterdir()} == {"study.toml"}


def test_check_says_what_tuning_costs(here, imcsim):
    (here / "study.toml").write_text(STUDY + '[tune.over]\n"training.learning_rate" = [0.01, 0.1]\n')
    _, out, _ = imcsim("check", "study.toml")
    # 2 candidates for all 3 epochs; 24 of 120 training samples validate
    assert "candidates x epochs 2 x 3: 6 epochs trained, 48 samples read on chips, in every cell" in out


def test_check_as_json_holds_the_whole_study(here, imcsim):
    code, out, _ = imcsim("check", "study.toml", "--json")
    assert code == DONE
    checked = json.loads(out)
    assert checked["points"] == 4
    assert checked["config"]["chip"]["cell"]["v_wl_V"] == 0.7
    assert checked["config"]["grid"] == {"chip.array.weight_bits": [2, 6], "chip.adc.bits": [3, 6]}


def test_check_of_a_quick_study_says_what_the_quick_study_is(here, imcsim):
    _, out, _ = imcsim("check", "study.toml", "--quick", "--set", "replicates.dies=3")
    assert "tiny-quick: sound" in out
    assert "= 4 points" in out


def test_devices_lists_the_models(imcsim):
    code, out, _ = imcsim("devices")
    assert code == DONE
    assert [line.split()[0] for line in out.splitlines()] == device_names()
    assert list(json.loads(imcsim("devices", "--json")[1])) == device_names()


@pytest.mark.parametrize("name", device_names())
def test_devices_prints_a_model_with_every_source_reason_and_range(imcsim, name):
    code, out, _ = imcsim("devices", name)
    assert code == DONE
    _, as_json, _ = imcsim("devices", name, "--json")
    notes = json.loads(as_json)["notes"]
    assert notes
    for path, note in notes.items():
        assert f"  {path.rpartition('.')[2]} = " in out
        assert note["source"] in out
        assert note.get("reason", "") in out
    assert out.count("assumed: ") == sum(note["source"] == "assumed" for note in notes.values())


@pytest.mark.parametrize("name", device_names())
def test_a_model_printed_as_toml_is_a_model_of_ones_own(here, imcsim, name):
    (here / "mine.toml").write_text(imcsim("devices", name, "--toml")[1])
    assert imcsim("devices", "mine.toml")[1] == imcsim("devices", name)[1]
    (here / "study.toml").write_text(changed('"sram8t_65nm"', '"mine.toml"'))
    assert imcsim("check", "study.toml")[0] == DONE


def test_an_unknown_model_is_answered_with_the_nearest(imcsim):
    assert_refused(imcsim("devices", "sram8t"), 'no device model "sram8t"', 'did you mean "sram8t_65nm"?')
    assert_refused(imcsim("devices", "none.toml"), "none.toml: no such file")


def test_the_doctor_tells_versions_and_that_the_kernels_agree_with_their_twins(imcsim):
    code, out, _ = imcsim("doctor")
    assert code == DONE
    assert "the kernels agree with their numpy twins" in out
    assert all(word in out for word in ("python", "numba", "numpy", "h5py", "threads", "kernel cache", __version__))
    code, as_json, _ = imcsim("doctor", "--json")
    assert code == DONE
    assert json.loads(as_json)["numpy"] == np.__version__


def test_the_version_names_that_of_the_numbers_too(imcsim):
    assert imcsim("--version")[:2] == (DONE, f"imcsim {__version__} (model version {MODEL_VERSION})\n")


def test_help_tells_the_exit_codes_and_every_command(imcsim):
    code, out, _ = imcsim("--help")
    assert code == DONE
    assert all(word in out for word in ("run", "check", "show", "plot", "devices", "cost", "doctor"))
    assert "2 wrong usage or configuration, 3 bad data, 130 interrupted" in " ".join(out.split())


def test_help_waits_for_no_compiler_and_no_figure():
    """numba, scipy and matplotlib are imported by the commands that use them."""
    program = (
        "import sys; from imcsim import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"numba", "scipy", "scipy.stats", "matplotlib", "matplotlib.pyplot", "numpy"} & set(
        result.stderr.split()
    )


def test_a_reader_that_has_seen_enough_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        result = subprocess.run([IMCSIM, "devices"], stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert "Errno" not in result.stderr
    assert result.returncode != WRONG_USAGE
