"""IDX files, honest and hostile; MNIST and Fashion-MNIST where $IMCSIM_DATA has them."""

import gzip
import hashlib
import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from imcsim.datasets import load
from imcsim.errors import DataError
from imcsim.idx import read_idx
from imcsim.images import FILES, IMAGES


def idx(values):
    values = np.asarray(values, np.uint8)
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return (0x0800 + values.ndim).to_bytes(4, "big") + sizes + values.tobytes()


@pytest.fixture
def written(tmp_path):
    def write(content, packed=True):
        path = tmp_path / "file.gz"
        path.write_bytes(gzip.compress(content) if packed else content)
        return path

    return write


VALUES = np.arange(24).reshape(2, 3, 4) * 10 % 251


@pytest.mark.parametrize("shape", [(24,), (6, 4), (2, 3, 4)])
def test_values_come_back_as_they_were_written(written, shape):
    content = idx(VALUES.reshape(shape))
    found = read_idx(written(content), shape, hashlib.md5(content).hexdigest())
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, VALUES.reshape(shape))


GOOD = idx(VALUES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"nothing: must start with 0x00000803"),
        (GOOD[:3], r"nothing: must start with 0x00000803"),
        (b"\x00\x00\x0d\x03" + GOOD[4:], r"0x00000d03: must start with 0x00000803, as an IDX file of 2 x 3 x 4 bytes"),
        (idx(VALUES.ravel()), r"0x00000801: must start with 0x00000803"),
        (idx(VALUES.reshape(2, 4, 3)), r"2 x 4 x 3: must hold 2 x 3 x 4 values"),
        (GOOD[:4] + b"\xff" * 12 + GOOD[16:], r"4294967295 x 4294967295 x 4294967295: must hold 2 x 3 x 4 values"),
        (GOOD[:12], r"2 x 3: must hold 2 x 3 x 4 values"),
        (GOOD[:-1], r"39: must hold 40 bytes"),
        (GOOD + b"\x00", r"more: must hold 40 bytes"),
        (GOOD[:-1] + b"\x07", r"must have the MD5 [0-9a-f]{32} when unpacked; fetch the file anew"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(written, content, message):
    with pytest.raises(DataError, match=message):
        read_idx(written(content), VALUES.shape, hashlib.md5(GOOD).hexdigest())


@pytest.mark.parametrize(
    "raw", [b"not gzip at all", gzip.compress(GOOD)[:-9], gzip.compress(GOOD)[:-8] + b"\x00" * 8, b"\x1f\x8b" * 40]
)
def test_a_damaged_archive_is_refused(written, raw):
    with pytest.raises(DataError, match=r"file.gz: is not a whole gzip file"):
        read_idx(written(raw, packed=False), VALUES.shape)


def test_of_an_archive_that_would_fill_the_memory_no_more_is_unpacked_than_expected(written, monkeypatch):
    squeezed = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = squeezed.compress(GOOD) + b"".join(squeezed.compress(bytes(2**20)) for _ in range(64)) + squeezed.flush()
    read = []
    open_gzip = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, size=-1: read.append(size) or open_gzip(self, size))
    with pytest.raises(DataError, match="more: must hold 40 bytes"):
        read_idx(written(bomb, packed=False), VALUES.shape)
    assert read == [41]


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DataError, match=r"absent.gz: no such file"):
        read_idx(tmp_path / "absent.gz", (1,))


@pytest.mark.parametrize("name", IMAGES)
def test_where_no_images_are_the_error_says_which_variable_what_files_and_where_they_come_from(
    name, tmp_path, monkeypatch
):
    load.cache_clear()
    monkeypatch.delenv("IMCSIM_DATA", raising=False)
    with pytest.raises(DataError, match=r"IMCSIM_DATA = nothing: must name the folder .*set the environment.*https://"):
        load(name)
    monkeypatch.setenv("IMCSIM_DATA", str(tmp_path))
    with pytest.raises(DataError, match=rf'must name a folder with a folder "{name}" in it; put train-images-idx3-u'):
        load(name)
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz: no such file"):
        load(name)


def test_made_up_images_of_the_right_size_are_not_taken_for_mnist(tmp_path, monkeypatch):
    load.cache_clear()
    (tmp_path / "mnist").mkdir()
    for file, shape in FILES:
        (tmp_path / "mnist" / file).write_bytes(gzip.compress(idx(np.zeros(shape)), 1))
    monkeypatch.setenv("IMCSIM_DATA", str(tmp_path))
    with pytest.raises(
        DataError, match=r"train-images-idx3-ubyte.gz = [0-9a-f]{32}: must have the MD5 6bbc9ace898e44ae"
    ):
        load("mnist")


def published(name):
    folder = Path(os.environ.get("IMCSIM_DATA", "")) / name
    if not os.environ.get("IMCSIM_DATA") or not folder.is_dir():
        pytest.skip(f"{name} is not in $IMCSIM_DATA")
    return load(name)


@pytest.mark.parametrize("name", IMAGES)
def test_published_images_are_split_as_published(name):
    data = published(name)
    assert (data.x_train.shape, data.x_test.shape) == ((60_000, 784), (10_000, 784))
    assert (data.x_train.dtype, data.y_train.dtype) == (np.float64, np.int64)
    assert (data.x_train.min(), data.x_train.max()) == (0.0, 1.0)
    assert set(np.unique(data.y_test)) == set(range(data.classes)) == set(range(10))
    assert not data.x_train.flags.writeable


def test_mnist_has_its_published_counts_of_digits_and_fashion_mnist_as_many_of_each():
    # of MNIST's test part, as in its documentation everywhere: 980 zeros, 1135 ones ...
    np.testing.assert_array_equal(
        np.bincount(published("mnist").y_test), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    )
    np.testing.assert_array_equal(np.bincount(published("fashion_mnist").y_train), [6000] * 10)
