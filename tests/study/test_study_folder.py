"""A folder belongs to one study, and says what ran in it."""

from __future__ import annotations

import json

import pytest

from imcsim.errors import SpecError
from imcsim.study import folder as folder_module
from imcsim.study.run import open_folder, run
from imcsim.study.store import is_temporary
from imcsim.version import MODEL_VERSION, __version__


def contents(folder):
    return {str(path.relative_to(folder)): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def test_a_folder_that_does_not_exist_is_created(make_plan, tmp_path):
    open_folder(make_plan(), tmp_path / "deep" / "inside")
    assert (tmp_path / "deep" / "inside" / "manifest.json").exists()


def test_an_empty_folder_is_taken_and_the_study_s_own_kept_as_it_is(make_plan, tmp_path):
    open_folder(make_plan(), tmp_path)
    before = contents(tmp_path)
    open_folder(make_plan(), tmp_path)
    assert contents(tmp_path) == before


def test_what_a_run_leaves_that_is_killed_at_once_can_be_taken_up(make_plan, tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / ".manifest.json.0123456789abcdef.tmp").write_bytes(b"{")
    assert is_temporary(tmp_path / ".manifest.json.0123456789abcdef.tmp")
    open_folder(make_plan(), tmp_path)


def test_another_study_is_refused_with_what_differs_and_nothing_is_written(make_plan, evaluator, tmp_path):
    run(make_plan(), tmp_path, evaluator, lambda done, total: None)
    before = contents(tmp_path)
    other = make_plan(config={"name": "small", "seed": 2, "chip": {"adc": {"bits": 6}}})
    with pytest.raises(SpecError) as caught:
        run(other, tmp_path, evaluator, lambda done, total: None)
    message = str(caught.value)
    assert message.startswith(str(tmp_path))
    for text in ("seed: 1 -> 2", "chip.adc.bits: absent -> 6", "give another --out"):
        assert text in message
    assert contents(tmp_path) == before


def test_only_the_first_few_differences_are_told(make_plan, tmp_path):
    open_folder(make_plan(config={f"key{i}": 0 for i in range(9)}), tmp_path)
    with pytest.raises(SpecError, match=r"key0: 0 -> 1, key1: 0 -> 1, key2: 0 -> 1, key3: 0 -> 1 and 5 more"):
        open_folder(make_plan(config={f"key{i}": 1 for i in range(9)}), tmp_path)


def test_another_model_version_is_refused(make_plan, tmp_path, monkeypatch):
    open_folder(make_plan(), tmp_path)
    monkeypatch.setattr(folder_module, "MODEL_VERSION", MODEL_VERSION + 1)
    with pytest.raises(SpecError, match=f"model_version: {MODEL_VERSION} -> {MODEL_VERSION + 1}"):
        open_folder(make_plan(), tmp_path)


def test_other_data_are_refused(make_plan, tmp_path):
    open_folder(make_plan(), tmp_path)
    with pytest.raises(SpecError, match=r'dataset_sha256: "d+" -> "e+"'):
        open_folder(make_plan(dataset_sha256="e" * 64), tmp_path)


def test_foreign_files_are_refused_and_left_alone(make_plan, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(SpecError, match=r"thesis\.tex; give another --out"):
        open_folder(make_plan(), tmp_path)
    assert contents(tmp_path) == {"thesis.tex": b"precious"}


@pytest.mark.parametrize("text", ["", "{}", "[1]", "no JSON"])
def test_a_manifest_of_something_else_is_refused(make_plan, tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(SpecError, match="is not one of a study"):
        open_folder(make_plan(), tmp_path)


def test_a_file_is_no_folder(make_plan, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError, match="is not a folder"):
        open_folder(make_plan(), tmp_path / "file")


def test_the_manifest_tells_what_ran_when_and_on_what(make_plan, evaluator, tmp_path):
    evaluator.error, evaluator.fails = KeyboardInterrupt, lambda call: call == 2
    with pytest.raises(KeyboardInterrupt):
        run(make_plan(), tmp_path, evaluator, lambda done, total: None)
    run(make_plan(), tmp_path, evaluator, lambda done, total: None)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["config"] == make_plan().config
    assert manifest["model_version"] == MODEL_VERSION
    interrupted, finished = manifest["runs"]
    assert interrupted["finished"] is None
    assert finished["started"] <= finished["finished"]
    assert finished["versions"].keys() == {"python", "numpy", "numba", "scipy", "h5py", "imcsim"}
    assert finished["versions"]["imcsim"] == __version__
    assert all(finished[key] for key in ("host", "cpu", "cores", "platform"))
