"""A folder belongs to one study, and says what ran in it."""

from __future__ import annotations

import json

import pytest

from imcsim.errors import SpecError
from imcsim.study import folder as folder_module
from imcsim.study.axes import Axis, Cell, Replicates
from imcsim.study.folder import check_folder, open_folder
from imcsim.study.run import run
from imcsim.study.store import is_temporary
from imcsim.version import MODEL_VERSION, __version__


def take(plan, folder):
    """What a run does with the folder it is given."""
    check_folder(plan, folder)
    folder.mkdir(parents=True, exist_ok=True)
    open_folder(plan, folder)


def contents(folder):
    return {str(path.relative_to(folder)): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def test_a_folder_that_does_not_exist_is_created(make_plan, tmp_path):
    take(make_plan(), tmp_path / "deep" / "inside")
    assert (tmp_path / "deep" / "inside" / "manifest.json").exists()


def test_an_empty_folder_is_taken_and_the_study_s_own_kept_as_it_is(make_plan, tmp_path):
    take(make_plan(), tmp_path)
    before = contents(tmp_path)
    take(make_plan(), tmp_path)
    assert contents(tmp_path) == before


def test_what_a_run_leaves_that_is_killed_at_once_can_be_taken_up(make_plan, tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / ".manifest.json.0123456789abcdef.tmp").write_bytes(b"{")
    assert is_temporary(tmp_path / ".manifest.json.0123456789abcdef.tmp")
    take(make_plan(), tmp_path)


def test_another_study_is_refused_with_what_differs_and_nothing_is_written(make_plan, evaluator, tmp_path):
    run(make_plan(), tmp_path, evaluator.work, lambda progress: None)
    before = contents(tmp_path)
    other = make_plan(config={"name": "small", "seed": 2, "chip": {"adc": {"bits": 6}}})
    with pytest.raises(SpecError) as caught:
        run(other, tmp_path, evaluator.work, lambda progress: None)
    message = str(caught.value)
    assert message.startswith(str(tmp_path))
    for text in ("seed: 1 -> 2", "chip.adc.bits: absent -> 6", "give another --out"):
        assert text in message
    assert contents(tmp_path) == before


def test_only_the_first_few_differences_are_told(make_plan, tmp_path):
    take(make_plan(config={f"key{i}": 0 for i in range(9)}), tmp_path)
    with pytest.raises(SpecError, match=r"key0: 0 -> 1, key1: 0 -> 1, key2: 0 -> 1, key3: 0 -> 1 and 5 more"):
        take(make_plan(config={f"key{i}": 1 for i in range(9)}), tmp_path)


def test_another_model_version_is_refused(make_plan, tmp_path, monkeypatch):
    take(make_plan(), tmp_path)
    monkeypatch.setattr(folder_module, "MODEL_VERSION", MODEL_VERSION + 1)
    with pytest.raises(SpecError, match=f"model_version: {MODEL_VERSION} -> {MODEL_VERSION + 1}"):
        take(make_plan(), tmp_path)


def test_other_data_are_refused(make_plan, tmp_path):
    take(make_plan(), tmp_path)
    with pytest.raises(SpecError, match=r'dataset_sha256: "d+" -> "e+"'):
        take(make_plan(dataset_sha256="e" * 64), tmp_path)


def test_foreign_files_are_refused_and_left_alone(make_plan, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(SpecError, match=r"thesis\.tex; give another --out"):
        take(make_plan(), tmp_path)
    assert contents(tmp_path) == {"thesis.tex": b"precious"}


@pytest.mark.parametrize("text", ["", "{}", "[1]", "no JSON"])
def test_a_manifest_of_something_else_is_refused(make_plan, tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(SpecError, match="is not one of a study"):
        take(make_plan(), tmp_path)


def test_a_file_is_no_folder(make_plan, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError, match="is not a folder"):
        take(make_plan(), tmp_path / "file")


def test_the_manifest_tells_what_ran_when_and_on_what(make_plan, evaluator, tmp_path):
    evaluator.error, evaluator.fails = KeyboardInterrupt, lambda place: len(evaluator.asked) == 2
    with pytest.raises(KeyboardInterrupt):
        run(make_plan(), tmp_path, evaluator.work, lambda progress: None)
    run(make_plan(), tmp_path, evaluator.work, lambda progress: None)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["config"] == make_plan().config
    assert manifest["model_version"] == MODEL_VERSION
    interrupted, finished = manifest["runs"]
    assert interrupted["finished"] is None
    assert finished["started"] <= finished["finished"]
    assert finished["versions"].keys() == {"python", "numpy", "numba", "scipy", "h5py", "imcsim"}
    assert finished["versions"]["imcsim"] == __version__
    assert all(finished[key] for key in ("host", "cpu", "cores", "platform"))


def of_extent(make_plan, dies, bits):
    axes = (Axis("chip.adc.bits", tuple(bits)),)
    config = {"name": "small", "replicates": {"dies": dies}, "grid": {"chip.adc.bits": list(bits)}}
    cells = tuple(Cell.of({"chip.adc.bits": value}, {"at": [value]}) for value in bits)
    return make_plan(axes=axes, cells=cells, config=config, replicates=Replicates(dies=dies))


@pytest.mark.parametrize(("dies", "bits"), [(3, [4, 6]), (2, [4, 5, 6]), (5, [3, 6, 4])])
def test_a_study_that_grew_keeps_its_folder_and_what_is_there(make_plan, evaluator, tmp_path, dies, bits):
    before, grown = of_extent(make_plan, 2, [4, 6]), of_extent(make_plan, dies, bits)
    run(before, tmp_path, evaluator.work, lambda progress: None)
    ids = {point.id for point in before.points} & {point.id for point in grown.points}
    outcome = run(grown, tmp_path, evaluator.work, lambda progress: None)
    assert (outcome.points, outcome.reused) == (dies * len(bits), len(ids))
    assert json.loads((tmp_path / "manifest.json").read_text())["points"] == dies * len(bits)
    fresh = tmp_path / "fresh"
    run(grown, fresh, evaluator.work, lambda progress: None)
    assert (fresh / "study.h5").read_bytes() == (tmp_path / "study.h5").read_bytes()


@pytest.mark.parametrize(("dies", "bits"), [(1, [4, 6]), (2, [4]), (3, [4, 5])])
def test_a_study_that_shrank_is_another(make_plan, evaluator, tmp_path, dies, bits):
    run(of_extent(make_plan, 2, [4, 6]), tmp_path, evaluator.work, lambda progress: None)
    before = contents(tmp_path)
    with pytest.raises(SpecError, match="holds results of points that this study does not have"):
        run(of_extent(make_plan, dies, bits), tmp_path, evaluator.work, lambda progress: None)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("manifest", [None, "", "{}", '{"config": 1, "runs": []}'])
def test_results_whose_manifest_is_lost_are_taken_up(make_plan, evaluator, tmp_path, manifest):
    run(make_plan(), tmp_path, evaluator.work, lambda progress: None)
    evaluator.asked.clear()
    (tmp_path / "manifest.json").unlink()
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    assert run(make_plan(), tmp_path, evaluator.work, lambda progress: None).reused == 72
    assert evaluator.asked == []
    assert json.loads((tmp_path / "manifest.json").read_text())["config"] == make_plan().config


def test_what_may_not_shrink_is_said(make_plan, evaluator, tmp_path):
    run(of_extent(make_plan, 2, [4, 6]), tmp_path, evaluator.work, lambda progress: None)
    told = r"points that this study does not have .*dies: 2 -> 1.*; a study only grows in its folder: keep what it had"
    with pytest.raises(SpecError, match=told):
        take(of_extent(make_plan, 1, [4, 6]), tmp_path)


def test_a_folder_of_a_newer_version_is_refused_as_such(make_plan, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(folder_module, "MODEL_VERSION", MODEL_VERSION + 1)
        take(make_plan(), tmp_path)
    with pytest.raises(SpecError, match=r"holds results of a newer imcsim .*; update imcsim, or give another --out"):
        take(make_plan(), tmp_path)
