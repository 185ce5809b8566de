"""A pickle is refused by what it is, whatever it is called, and never loaded."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile

import numpy as np
import pytest

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.pickles import pickle_in, refuse_pickle
from thresher.pipelines.ingest.unread import refuse_known
from thresher.tests.pipelines.ingest.tables import sample


class Bomb:
    """Unpickled, it would end the test."""

    def __reduce__(self):
        return (exit, (1,))


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _zip(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [{"qpos": [1.0]}, [1, 2], Bomb()])
def test_every_protocol_is_known_under_any_name(tmp_path, protocol, value):
    for name in ("demo.pkl", "demo.dat"):
        path = tmp_path / name
        path.write_bytes(pickle.dumps(value, protocol))
        # Protocol 1 looks like nothing in particular; its name has to do.
        if protocol == 1 and name == "demo.dat":
            continue
        with pytest.raises(UserError, match="never loaded.*HDF5"):
            refuse_pickle(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_npy(np.array([{}], dtype=object)), "NumPy file of objects"),
        (b"\x93NUMPY\x01\x00\xff", "damaged NumPy file"),
        (_zip(archive__data__pkl=b"x", **{"model/data.pkl": b"x"}), "PyTorch file"),
        (_zip(**{"a.pkl": b"x"}), "archive with a pickle"),
        (_zip(**{"a.npy": _npy(np.zeros(2))}), "NumPy archive"),
    ],
)
def test_what_holds_a_pickle_is_refused(tmp_path, content, reason):
    path = tmp_path / "x.bin"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        refuse_pickle(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80",
        b"(data)\n",
        b"\x89HDF\r\n\x1a\n",
        b"a,b\n1,2\n",
        _npy(np.zeros(3)),
        _zip(**{"a.txt": b"x"}),
        b"PK\x03\x04 cut",
    ],
)
def test_what_is_none_is_let_pass(tmp_path, content):
    path = tmp_path / "x.bin"
    path.write_bytes(content)
    assert pickle_in(path) == ""
    refuse_pickle(path)


def test_compressed_pickles_are_known_by_name(tmp_path):
    path = tmp_path / "x.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps([1])))
    with pytest.raises(UserError, match="compressed pickle"):
        refuse_pickle(path)


def test_archives_are_to_be_unpacked_first(tmp_path):
    for name, content in {
        "a.zip": _zip(**{"a.txt": b"x"}),
        "a.gz": gzip.compress(b"x"),
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="unpack it"):
            refuse_known(tmp_path / name)
    (tmp_path / "a.csv").write_text("a\n1\n")
    refuse_known(tmp_path / "a.csv")
    refuse_known(tmp_path)


def test_the_real_furniture_pickle_is_refused():
    with pytest.raises(UserError, match="pickle of protocol 3"):
        refuse_known(sample("furniture/demos/Sawyer_7.pkl"))


def test_the_real_pybullet_log_is_explained():
    with pytest.raises(UserError, match=r"PyBullet state log.*readLogFile"):
        refuse_known(sample("bullet3/data/example_log_vr.bin"))
