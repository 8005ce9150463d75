"""What is on disk is whole, checked when it is read, and made again when it is damaged."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.errors import DataError
from imcsim.study import store
from imcsim.study.store import (
    Artifacts,
    MissingArtifactsError,
    read_shards,
    sealed,
    unsealed,
    write_atomic,
    write_shard,
)

VALUES = {die: {"accuracy": 0.1 * die, "accuracy_float": 0.9} for die in (1, 2)}
POINTS = [{"id": f"id{die}", "training": 0, "die": die, "read": 0, "values": VALUES[die]} for die in VALUES]


def test_an_atomic_write_replaces_the_file_and_leaves_nothing_else(tmp_path):
    for data in (b"old", b"new"):
        write_atomic(tmp_path / "file", data)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"new")]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_keeps_the_old_file_and_leaves_no_temporary_one(tmp_path, monkeypatch, step):
    def fail(*args):
        raise OSError(28, "No space left on device")

    write_atomic(tmp_path / "file", b"old")
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(tmp_path / "file", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


def test_an_interrupted_write_leaves_no_temporary_file(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "file", b"new")
    assert list(tmp_path.iterdir()) == []


def test_the_data_are_on_disk_before_the_name_is(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (steps.append("fsync"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *paths: (steps.append("replace"), replace(*paths)))
    write_atomic(tmp_path / "file", b"data")
    assert steps == ["fsync", "replace", "fsync"]


def test_a_written_file_has_the_permissions_of_any_other(tmp_path):
    write_atomic(tmp_path / "ours", b"")
    (tmp_path / "theirs").write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


@given(st.data())
def test_changing_any_byte_breaks_the_seal(data):
    intact = sealed({"points": POINTS})
    assert unsealed(intact) == {"points": POINTS}
    place = data.draw(st.integers(0, len(intact) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != intact[place]))
    with pytest.raises(DataError, match="SHA-256"):
        unsealed(intact[:place] + bytes([byte]) + intact[place + 1 :])


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b'{"body":1}', b'{"sha256":"0"}', b"\xff\xfe", b'{"body":NaN}'])
def test_what_was_never_sealed_is_refused(data):
    with pytest.raises(DataError, match="SHA-256"):
        unsealed(data)


def test_shards_read_back_what_was_written(tmp_path):
    for point in POINTS:
        write_shard(tmp_path, [point])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert read_shards(tmp_path) == ({point["id"]: point["values"] for point in POINTS}, names, [])
    assert read_shards(tmp_path, but=names) == ({}, [], [])


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-20], lambda data: data.replace(b"0.1", b"0.7"), lambda data: b""]
)
def test_a_damaged_shard_is_named_and_left_out_until_it_is_written_again(tmp_path, damage):
    for point in POINTS:
        write_shard(tmp_path, [point])
    [path] = [path for path in tmp_path.iterdir() if b'"id1"' in path.read_bytes()]
    path.write_bytes(damage(path.read_bytes()))
    found = read_shards(tmp_path)
    assert (found.results, found.damaged) == ({"id2": VALUES[2]}, [path.name])
    write_shard(tmp_path, POINTS[:1])
    again = read_shards(tmp_path)
    assert (again.results, again.damaged) == ({"id1": VALUES[1], "id2": VALUES[2]}, [])


def test_the_temporary_file_of_a_killed_writer_is_no_shard(tmp_path):
    write_shard(tmp_path, POINTS)
    [path] = tmp_path.iterdir()
    temporary = path.with_name(f".{path.name}.0123456789abcdef.tmp")
    temporary.write_bytes(path.read_bytes()[:10])
    assert store.is_temporary(temporary)
    assert read_shards(tmp_path).damaged == []
    store.remove_temporary(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


CONTENT = {"weights": [np.arange(6.0).reshape(2, 3)], "accuracy": np.float64(0.9), "shape": (2, 3)}


def test_an_artifact_is_read_back_as_it_was(tmp_path):
    Artifacts(tmp_path).put({"training": 1}, CONTENT)
    found = Artifacts(tmp_path).get({"training": 1})
    np.testing.assert_array_equal(found["weights"][0], np.arange(6.0).reshape(2, 3), strict=True)
    assert (found["accuracy"], found["shape"]) == (0.9, [2, 3])


def test_artifacts_of_different_keys_or_model_versions_do_not_mix(tmp_path, monkeypatch):
    artifacts = Artifacts(tmp_path)
    for training in (1, 2):
        artifacts.put({"training": training}, {"w": training})
    assert artifacts.get_all([{"training": 2}, {"training": 1}]) == [{"w": 2}, {"w": 1}]
    monkeypatch.setattr(store, "MODEL_VERSION", store.MODEL_VERSION + 1)
    with pytest.raises(MissingArtifactsError):
        artifacts.get({"training": 1})


def test_all_that_is_missing_is_named_at_once(tmp_path):
    artifacts = Artifacts(tmp_path)
    artifacts.put({"training": 1}, {})
    with pytest.raises(MissingArtifactsError) as caught:
        artifacts.get_all([{"training": training} for training in range(3)])
    assert caught.value.keys == ({"training": 0}, {"training": 2})


def test_a_damaged_artifact_is_named_and_missing(tmp_path):
    Artifacts(tmp_path).put({}, CONTENT)
    [path] = tmp_path.iterdir()
    intact = path.read_bytes()
    path.write_bytes(intact.replace(b"0.9", b"0.8"))
    artifacts = Artifacts(tmp_path)
    with pytest.raises(MissingArtifactsError):
        artifacts.get({})
    assert artifacts.damaged == [path.name]
    artifacts.put({}, CONTENT)
    assert path.read_bytes() == intact
