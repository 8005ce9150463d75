"""Files that nobody vouches for: each ends in a sound result or in an error that names it; nothing is followed."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from imcsim.errors import DataError
from imcsim.measurements import ReadNoise, guard, read, write

FIELD = "read_noise/conductance"


def made(path, fill):
    """A file that claims to be one of measurements, its field made by `fill`."""
    with h5py.File(path, "w", libver="latest") as root:
        root.attrs.update(format="imcsim-measurement", format_version=1)
        fill(root, path.parent)
        if FIELD in root and isinstance(root[FIELD], h5py.Dataset):
            root[FIELD].attrs["units"] = "S"
    return path


def external_link(root, folder):
    write(folder / "other.h5", [ReadNoise(conductance=np.ones((1, 3)))])
    root.create_group("read_noise")
    root[FIELD] = h5py.ExternalLink("other.h5", FIELD)


def soft_link(root, folder):
    del folder
    root["elsewhere"] = np.ones((1, 3))
    root.create_group("read_noise")
    root[FIELD] = h5py.SoftLink("/elsewhere")


def external_storage(root, folder):
    (folder / "raw").write_bytes(bytes(24))
    root.create_dataset(FIELD, (1, 3), "f8", external=[(str(folder / "raw"), 0, 24)])


def virtual(root, folder):
    write(folder / "other.h5", [ReadNoise(conductance=np.ones((1, 3)))])
    layout = h5py.VirtualLayout((1, 3), "f8")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), FIELD, shape=(1, 3))
    root.create_virtual_dataset(FIELD, layout)


def reference(root, folder):
    del folder
    root.create_dataset(FIELD, data=np.array([root.ref]), dtype=h5py.ref_dtype)


def compound(root, folder):
    del folder
    root.create_dataset(FIELD, data=np.zeros(3, [("a", "f8"), ("b", "i4")]))


def text(root, folder):
    del folder
    root.create_dataset(FIELD, data=np.array([[b"1.0"]]))


def bomb_of_nothing(root, folder):
    del folder
    root.create_dataset(FIELD, (1, 10**9), "f8", chunks=(1, 10**5), fillvalue=1.0)


def bomb_of_zeros(root, folder):
    del folder
    root.create_dataset(FIELD, data=np.zeros((1, 12_000_000)), compression="gzip", compression_opts=9)


def huge(root, folder):
    del folder
    root.create_dataset(FIELD, (10**9, 10**9), "f8", chunks=(1, 1000))


def circle(root, folder):
    del folder
    root.create_group("read_noise")["inside"] = root["/"]


def crowd(root, folder):
    del folder
    for k in range(guard.LIMITS["objects"] + 1):
        root.create_group(f"g{k}")


HOSTILE = {
    external_link: "is an external link",
    soft_link: "is a soft link",
    external_storage: "is stored in another file",
    virtual: "is a virtual dataset",
    reference: "must hold numbers",
    compound: "must hold numbers",
    text: "must hold numbers",
    bomb_of_nothing: "unpacks to more than",
    bomb_of_zeros: "unpacks to more than",
    huge: "unpacks to more than",
    circle: "may hold itself",
    crowd: "holds more than",
}


@pytest.mark.parametrize(("fill", "told"), HOSTILE.items(), ids=lambda one: getattr(one, "__name__", ""))
def test_a_hostile_file_is_refused_by_name(tmp_path, fill, told):
    path = made(tmp_path / "hostile.h5", fill)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match=told) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_filter_that_hdf5_does_not_bring_is_refused(tmp_path):
    path = tmp_path / "m.h5"
    write(path, [ReadNoise(conductance=np.ones((10, 300)))])
    raw = path.read_bytes()
    # the filter pipeline names deflate by 1 in two bytes, its name after it: told to be another, it is foreign
    at = raw.find(b"deflate")
    assert at > 0
    patched = bytearray(raw)
    patched[at - 8 : at - 6] = (12345).to_bytes(2, "little")
    path.write_bytes(bytes(patched))
    with pytest.raises(DataError):
        read(path)


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(200)])
def test_what_is_no_hdf5_file_is_refused(tmp_path, content):
    path = tmp_path / "m.h5"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"m\.h5"):
        read(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "nothing.h5")
    with pytest.raises(DataError):
        read(tmp_path)


def test_a_file_that_is_cut_or_flipped_is_read_or_refused_but_never_more(tmp_path):
    sound = tmp_path / "sound.h5"
    write(sound, [ReadNoise(conductance=np.arange(1.0, 301.0).reshape(3, 100), interval=np.array(0.1))])
    raw = sound.read_bytes()
    rng = np.random.default_rng(0)
    spoiled = [raw[: int(cut)] for cut in np.linspace(8, len(raw) - 1, 10)]
    for _ in range(30):
        flipped = bytearray(raw)
        flipped[int(rng.integers(8, len(raw)))] ^= int(rng.integers(1, 256))
        spoiled.append(bytes(flipped))
    refused = 0
    for content in spoiled:
        path = tmp_path / "m.h5"
        path.write_bytes(content)
        try:
            read(path)
        except DataError as error:
            refused += "m.h5" in str(error)
    assert refused >= 9  # the cuts, all but the last, at least
