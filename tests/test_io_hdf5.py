"""HDF5 files of strangers: what is wrong is one line, and nothing beside the file is opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from pose_core.errors import DataError
from pose_core.io.hdf5 import find_dataset, hdf5_errors, read_text_attribute


def test_values_of_the_file_itself_are_found(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/values"] = np.arange(5)
        assert find_dataset(file, "group/values")[()].tolist() == [0, 1, 2, 3, 4]
        assert find_dataset(file, "group/nothing") is None
        assert find_dataset(file, "nothing/values") is None


def test_a_file_that_is_cut_off_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(1000)
    data = path.read_bytes()
    path.write_bytes(data[:5000])
    with pytest.raises(DataError) as caught, hdf5_errors(path, "a test"), h5py.File(path) as file:
        list(file)
    told = f"{path}: is cut off: 5000 of its {len(data)} bytes are there; copy or save it once more"
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("external link", "is a link to elsewhere"),
        ("soft link", "is a link to elsewhere"),
        ("external values", "lie in another file"),
        ("virtual", "lie in another file"),
        ("group", "is not a dataset"),
        ("inside a dataset", "is not a group"),
        ("hollow", "claims 8000000000 bytes and stores 0"),
    ],
)
def test_what_lies_elsewhere_or_is_not_there_is_refused(tmp_path: Path, kind: str, message: str) -> None:
    (tmp_path / "secret").write_bytes(b"12345678")
    with h5py.File(tmp_path / "b.h5", "w") as other:
        other["x"] = np.arange(3)
    name = "x"
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if kind == "external link":
            file["x"] = h5py.ExternalLink("b.h5", "/x")
        elif kind == "soft link":
            file["x"] = h5py.SoftLink("/y")
        elif kind == "external values":
            file.create_dataset("x", (8,), "u1", external=str(tmp_path / "secret"))
        elif kind == "virtual":
            layout = h5py.VirtualLayout((3,), "i8")
            layout[:] = h5py.VirtualSource(tmp_path / "b.h5", "x", (3,))
            file.create_virtual_dataset("x", layout)
        elif kind == "group":
            file.create_group("x")
        elif kind == "inside a dataset":
            file["x"], name = np.arange(3), "x/y"
        else:
            file.create_dataset("x", (1_000_000_000,), "f8", chunks=(1000,))
        with pytest.raises(DataError) as caught, hdf5_errors(tmp_path / "a.h5", "a test"):
            find_dataset(file, name)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'a.h5'}: is damaged, or not a test (")
    assert "\n" not in str(caught.value)


def test_no_hdf5_file_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"nothing")
    with (
        pytest.raises(DataError, match=r"a\.h5: cannot be read as HDF5 \("),
        hdf5_errors(tmp_path / "a.h5", "a test"),
    ):
        h5py.File(tmp_path / "a.h5")


def test_text_of_attributes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["text"], file.attrs["bytes"], file.attrs["number"] = "Ü", np.bytes_("Ü".encode()), 3
        assert [read_text_attribute(file, name) for name in ("text", "bytes", "number", "none")] == [
            *("Ü", "Ü"),
            *("", ""),
        ]


def test_a_full_disk_is_told_and_does_not_crash(tmp_path: Path) -> None:
    # A limit of the process, so in one of its own.
    code = """
import resource, signal, sys, h5py, numpy as np
from pathlib import Path
from pose_core.io.hdf5 import DiskFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
disk = DiskFile(Path(sys.argv[1]), "w+")
with h5py.File(disk, "w") as file:
    file["x"] = np.zeros(100_000)
disk.close()
disk.check()
"""
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.h5")], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert ended.stderr.strip().endswith("OSError: [Errno 27] File too large")
