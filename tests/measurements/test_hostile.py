"""Files that are broken or meant to harm: a DataError that names the path, in bounded time, and nothing is written."""

import os

import h5py
import numpy as np
import pytest

from imcsim.errors import DataError
from imcsim.measurements import GROUPS, guard, read

PATH = "drift/conductance"


@pytest.fixture
def spoilt(drift_file):
    """A file of the layout whose drift/conductance a function puts there."""

    def make(put):
        path = drift_file({"drift/time": ([0.0, 1.0], "s")})
        with h5py.File(path, "a") as file:
            put(file, path)
        return path

    return make


def external_link(file, path):
    file[PATH] = h5py.ExternalLink("/etc/passwd", "/x")


def external_link_to_a_measurement(file, path):
    with h5py.File(path.with_name("other.h5"), "w") as other:
        other["x"] = np.ones((1, 2))
    file[PATH] = h5py.ExternalLink("other.h5", "/x")


def soft_link(file, path):
    file[PATH] = h5py.SoftLink("/drift/time")


def external_storage(file, path):
    path.with_name("raw").write_bytes(bytes(16))
    file.create_dataset(PATH, (1, 2), "f8", external=[(str(path.with_name("raw")), 0, 16)])


def virtual(file, path):
    layout = h5py.VirtualLayout((1, 2), "f8")
    layout[0] = h5py.VirtualSource("other.h5", "x", (2,))
    file.create_virtual_dataset(PATH, layout)


def references(file, path):
    file.create_dataset(PATH, data=np.array([file["drift"].ref] * 2, h5py.ref_dtype))


def compound(file, path):
    file.create_dataset(PATH, data=np.zeros(2, [("a", "f8"), ("b", "i4")]))


def opaque(file, path):
    file.create_dataset(PATH, data=np.zeros(2, "V8"))


def text(file, path):
    file.create_dataset(PATH, data=["1.0", "2.0"])


def complex_numbers(file, path):
    file.create_dataset(PATH, data=np.ones((1, 2), complex))


def nothing(file, path):
    file.create_dataset(PATH, data=h5py.Empty("f8"))


def named_type(file, path):
    file[PATH] = np.dtype("f8")


def group(file, path):
    file.create_group(PATH)


def foreign_filter(file, path):
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((1, 2))
    properties.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))  # Zstandard
    space = h5py.h5s.create_simple((1, 2))
    h5py.h5d.create(file["drift"].id, b"conductance", h5py.h5t.IEEE_F64LE, space, properties)


def fill_values_alone(file, path):
    file.create_dataset(PATH, (10_000, 10_000), "f8", chunks=(100, 100), fillvalue=1.0)


def beyond_all_memory(file, path):
    file.create_dataset(PATH, (2**40, 2**20), "f8", chunks=(100, 100))


def packed_a_thousand_times(file, path):
    file.create_dataset(PATH, data=np.zeros((80, 1 << 20), "u1"), chunks=(8, 1 << 20), compression=9)


def group_that_holds_itself(file, path):
    file["drift/inner"] = file["drift"]


def too_many(file, path):
    for name in range(guard.LIMITS["objects"] + 1):
        file.attrs[f"{name}"] = 0


def escape_codes(file, path):
    file["drift/\x1b[31mred"] = 1


HOSTILE = {
    external_link: "conductance: is an external link: only what stands in the file itself is read",
    external_link_to_a_measurement: "conductance: is an external link",
    soft_link: "conductance: is a soft link",
    external_storage: "conductance: is stored in another file",
    virtual: "conductance: is a virtual dataset",
    references: "conductance = type object: must hold numbers",
    compound: "must hold numbers",
    opaque: "must hold numbers",
    text: "must hold numbers",
    complex_numbers: "must hold numbers",
    nothing: "conductance = nothing: must hold numbers",
    named_type: "is a named type",
    group: "conductance: is missing",
    foreign_filter: "conductance = filter 32015: is packed by a filter that HDF5 does not bring",
    fill_values_alone: "conductance = 800000000 bytes out of 0: unpacks to more than 1000 times what is stored",
    beyond_all_memory: "unpacks to more than 1024 MiB",
    packed_a_thousand_times: "unpacks to more than 1000 times what is stored",
    group_that_holds_itself: "is a group that stands elsewhere, too",
    escape_codes: "is a name that cannot be printed",
}


@pytest.mark.parametrize("put", HOSTILE, ids=lambda put: put.__name__)
def test_what_could_harm_is_refused(put, spoilt, problems_of, capfd):
    path = spoilt(put)
    before = sorted(path.parent.iterdir())
    problems = problems_of(read, path)
    assert len(problems) == 1
    assert HOSTILE[put] in problems[0]
    assert problems[0].isprintable()
    assert sorted(path.parent.iterdir()) == before
    assert capfd.readouterr() == ("", "")


def test_more_objects_than_anybody_measures_are_refused(spoilt, problems_of, monkeypatch):
    monkeypatch.setitem(guard.LIMITS, "objects", 100)
    assert "is one too many groups, datasets and attributes" in problems_of(read, spoilt(too_many))[0]


def test_a_process_that_takes_too_long_is_ended(good, problems_of, monkeypatch):
    monkeypatch.setattr(guard, "CLOCK_S", 0.001)
    assert "was not read within 0.001 s" in problems_of(read, good)[0]


def test_a_process_that_dies_is_told(good, problems_of, monkeypatch, tmp_path):
    child = tmp_path / "child.py"
    child.write_text("import os; os.abort()")
    monkeypatch.setattr(guard, "_CHILD", child)
    assert "is broken: the process that read it died" in problems_of(read, good)[0]


@pytest.mark.skipif(os.name != "posix", reason="limits of memory are the system's")
def test_memory_is_limited(spoilt, problems_of, monkeypatch):
    def large(file, path):
        file.create_dataset(PATH, data=np.ones((4, 10_000_000), np.int8))

    path = spoilt(large)
    monkeypatch.setitem(guard.LIMITS, "memory_bytes", 100 << 20)
    assert len(problems_of(read, path)) == 1


def test_attributes_that_are_no_plain_data_are_left_out(drift_file):
    path = drift_file({PATH: ([[1.0, 2.0]], "S"), "drift/time": ([0.0, 1.0], "s")})
    with h5py.File(path, "a") as file:
        about = file.create_group("sample")
        about.attrs["name"] = "a\x1b[31mb"
        about.attrs["raw"] = np.bytes_(b"caf\xe9")
        about.attrs["many"] = np.arange(3)
        about.attrs["too_many"] = np.arange(2000)
        about.attrs["empty"] = h5py.Empty("f8")
        about.attrs["reference"] = file["drift"].ref
        about.attrs["yes"] = True
    told = read(path).sample
    assert told == {"name": "a\ufffd[31mb", "raw": "caf\ufffd", "many": [0, 1, 2], "yes": True}


def test_what_is_no_file_of_hdf5_is_told(tmp_path, problems_of):
    text = tmp_path / "text.h5"
    text.write_text("conductance,time\n")
    empty = tmp_path / "empty.h5"
    empty.touch()
    assert problems_of(read, text) == [f"{text}: is not an HDF5 file"]
    assert problems_of(read, empty) == [f"{empty}: is not an HDF5 file"]
    assert problems_of(read, tmp_path / "none.h5") == [f"{tmp_path / 'none.h5'}: no such file"]
    assert problems_of(read, tmp_path) == [f"{tmp_path}: is a folder, not a file"]
    assert "is not an HDF5 file" in problems_of(read, tmp_path / "text.h5")[0]
    with pytest.raises(DataError, match="cannot be read"):
        read("a\0b")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such thing on this system")
def test_a_pipe_is_not_waited_for(tmp_path, problems_of):
    os.mkfifo(tmp_path / "pipe.h5")
    assert "is not a file" in problems_of(read, tmp_path / "pipe.h5")[0]


@pytest.mark.parametrize("share", [0.002, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_ends_too_soon_is_told(share, good, problems_of):
    whole = good.read_bytes()
    good.write_bytes(whole[: int(share * len(whole))])
    assert len(problems_of(read, good)) >= 1


def test_a_file_with_a_block_of_the_users_own_is_read(good):
    good.write_bytes(bytes(512) + good.read_bytes())
    assert read(good).groups.keys() == GROUPS.keys()


@pytest.mark.parametrize("part", range(4))
def test_flipped_bits_and_lost_ends_are_a_sound_result_or_a_data_error(part, drift_file):
    path = drift_file(
        {PATH: (np.linspace(1e-6, 2e-6, 40).reshape(8, 5), "S"), "drift/time": (np.arange(5.0), "s")}, name="fuzz.h5"
    )
    whole = path.read_bytes()
    rng = np.random.default_rng(part)
    ends = {"read": 0, "refused": 0}
    for k in range(12):
        broken = bytearray(whole)
        broken[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(broken[: rng.integers(len(whole))] if k % 4 == 0 else broken)
        try:
            found = read(path)
        except DataError as error:
            found = error
        ends["refused" if isinstance(found, DataError) else "read"] += 1
        if isinstance(found, DataError):
            assert all(str(path) in str(problem) for problem in found.problems)
        else:
            assert found.groups["drift"].conductance.shape == found.groups["drift"].time.shape
    assert all(ends.values()), ends
    assert list(path.parent.iterdir()) == [path]
