"""A small part of `benchmarks/fuzz_tables.py`, run always: readers refuse or read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from thresher.benchmarks.fuzz_tables import mutations, outcome
from thresher.episodes.tfrecord import framed
from thresher.pipelines.ingest.tfds_set import TfdsTable
from thresher.tests.pipelines.ingest.tables import DATA

_HERE = "thresher.pipelines.ingest"
ALLOWED = ("read", "refused", "nothing sound")
CASES = 150


def _hdf5(path, folder):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "sound", "w") as file:
        demo = file.create_group("data/demo_0")
        demo.attrs["success"] = True
        demo["actions"] = np.ones((3, 2))
        demo.create_dataset("x", data=np.arange(9), chunks=(2,), compression="gzip")
    return (folder / "sound").read_bytes()


def _csv(path, folder):
    return b"ep,t,x,w\na,0,1.5,go\na,1,2.5,on\nb,0,3.5,up\n"


def _jsonl(path, folder):
    rows = [{"ep": k // 2, "t": k, "o": {"q": [k, 1.5]}} for k in range(4)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize(
    ("reader", "name", "make", "options"),
    [
        ("delimited:DelimitedReader", "x.csv", _csv, {"episode": "ep", "clock": "t"}),
        ("delimited:DelimitedReader", "x.jsonl", _jsonl, {"episode": "ep"}),
        ("hdf5:Hdf5Table", "x.hdf5", _hdf5, {}),
    ],
)
def test_damaged_files_are_refused_or_read(tmp_path, reader, name, make, options):
    path = tmp_path / name
    data = make(path, tmp_path)
    rng = np.random.default_rng(1)
    for _, damaged in zip(range(CASES), mutations(data, rng)):
        path.write_bytes(damaged)
        assert outcome(f"{_HERE}.{reader}", path, options) in ALLOWED


def test_damaged_meta_of_lerobot_is_refused_or_read(tmp_path):
    import shutil

    root = shutil.copytree(DATA / "lerobot_v3_image", tmp_path / "x")
    info = root / "meta" / "info.json"
    data = info.read_bytes()
    rng = np.random.default_rng(2)
    for _, damaged in zip(range(CASES), mutations(data, rng)):
        info.write_bytes(damaged)
        told = outcome(f"{_HERE}.lerobot:LeRobotTable", root, {})
        assert told in ALLOWED


def test_records_that_pass_their_checksum_are_not_trusted(tmp_path):
    from thresher.episodes.example_wire import (
        bytes_feature,
        encode_example,
        float_feature,
        int_feature,
    )

    leaf = {"tensor": {"shape": {"dimensions": ["2"]}, "dtype": "float32"}}
    flag = {"tensor": {"shape": {}, "dtype": "int32"}}
    packed = {
        "tensor": {
            "shape": {"dimensions": ["2"]},
            "dtype": "float64",
            "encoding": "zlib",
        }
    }
    step = {"action": leaf, "flag": flag, "packed": packed, "word": {"text": {}}}
    features = {
        "featuresDict": {
            "features": {
                "steps": {"sequence": {"feature": {"featuresDict": {"features": step}}}}
            }
        }
    }
    (tmp_path / "features.json").write_text(json.dumps(features))
    splits = [{"name": "train", "shardLengths": ["1"]}]
    info = {"name": "x", "fileFormat": "tfrecord", "splits": splits}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    import zlib

    block = zlib.compress(np.arange(2.0).tobytes())
    record = encode_example(
        {
            "steps/action": float_feature(np.arange(6.0)),
            "steps/flag": int_feature(np.array([1, -2, 3])),
            "steps/packed": bytes_feature([block] * 3),
            "steps/word": bytes_feature([b"a", b"b", b"c"]),
        }
    )
    shard = tmp_path / "x-train.tfrecord-00000-of-00001"
    shard.write_bytes(framed(record))
    assert outcome(f"{_HERE}.tfds_set:TfdsTable", tmp_path, {}) == "read"
    assert TfdsTable(tmp_path, {}).contents().episodes == 1
    rng = np.random.default_rng(3)
    for _, damaged in zip(range(4 * CASES), mutations(record, rng)):
        shard.write_bytes(framed(damaged))
        assert outcome(f"{_HERE}.tfds_set:TfdsTable", tmp_path, {}) in ALLOWED


def test_mutations_are_the_same_for_the_same_seed_and_differ_from_the_file():
    data = bytes(range(256)) * 4
    first = [m for _, m in zip(range(50), mutations(data, np.random.default_rng(5)))]
    again = [m for _, m in zip(range(50), mutations(data, np.random.default_rng(5)))]
    assert first == again
    assert sum(m != data for m in first) >= 45
