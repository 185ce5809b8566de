"""RLDS datasets are read as TFDS itself reads them, without decoding a picture."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from thresher.benchmarks.sound_tables import write_tfds
from thresher.episodes.errors import UserError
from thresher.episodes.tfrecord import framed
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.tfds_set import TfdsTable
from thresher.tests.pipelines.ingest.tables import (
    all_fields,
    assert_equal,
    read_all,
    sample,
    values,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_tfds(tmp_path_factory.mktemp("tfds"))


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made, tmp_path / "1.0.0")


def _by_tfds(folder, images):
    """Yields episodes as TFDS reads them, image files undecoded."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(folder))
    skipped = {name: tfds.decode.SkipDecoding() for name in images}
    decoders = {"steps": {"observation": skipped}}
    dataset = builder.as_dataset(split="train", decoders=decoders)
    for episode in tfds.as_numpy(dataset):
        yield list(episode["steps"]), episode["episode_metadata"]


FIELDS = (
    "observation/depth",
    "observation/range",
    "observation/state",
    "observation/wide",
    "observation/bytes",
    "observation/small",
    "action",
    "is_first",
    "count",
    "kind",
)


def test_every_value_is_what_tfds_reads(made):
    table = TfdsTable(made, {})
    assert table.contents().episodes == 2
    for segment, (steps, said) in zip(
        read_all(table), _by_tfds(made, ("image", "mask"))
    ):
        for name in ("image", "mask"):
            frames = segment.streams[f"observation/{name}"].values.frames
            assert list(frames) == [step["observation"][name] for step in steps]
        for name in FIELDS:
            head, _, leaf = name.partition("/")
            wanted = [step[head][leaf] if leaf else step[head] for step in steps]
            assert_equal(segment, name, wanted)
            assert values(segment, name).dtype == np.asarray(wanted).dtype
        words = [step["language_instruction"].decode() for step in steps]
        assert_equal(segment, "language_instruction", words)
        assert segment.attributes["number"] == said["number"]
        assert segment.attributes["episode_metadata/file_path"] == (
            said["file_path"].decode()
        )
        assert segment.attributes["pose"] == [0.0, 1.0, 2.0]


def test_sequences_within_steps_are_not_read_and_said_so(made):
    table = TfdsTable(made, {})
    (field,) = [f for f in table.contents().fields if f.name == "boxes"]
    assert (field.type, field.note) == ("not read", "a sequence within a step")
    with pytest.raises(DamagedRecordingError, match="boxes is not read"):
        table.read(next(table.pointers()), ["boxes"])


def test_a_damaged_record_costs_its_episode_only(copy):
    shard = copy / "tiny-train.tfrecord-00000-of-00001"
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    table = TfdsTable(copy, {})
    first, second = table.pointers()
    with pytest.raises(
        DamagedRecordingError, match=r"bytes 0-.*record at byte 0 fails its checksum"
    ):
        table.read(first, ["action"])
    assert_equal(table.read(second, ["action"]), "action", range(5))


def test_a_cut_shard_tells_what_is_gone(copy):
    shard = copy / "tiny-train.tfrecord-00000-of-00001"
    shard.write_bytes(shard.read_bytes()[:-10])
    table = TfdsTable(copy, {})
    first, cut, gone = table.pointers()
    assert_equal(table.read(first, ["action"]), "action", range(3))
    with pytest.raises(DamagedRecordingError, match="ends inside a record"):
        table.read(cut, ["action"])
    with pytest.raises(DamagedRecordingError, match="1 of 2 episodes"):
        table.read(gone, ["action"])


def test_an_endless_length_is_told_before_memory_is_taken(copy):
    shard = copy / "tiny-train.tfrecord-00000-of-00001"
    shard.write_bytes(framed(b"x" * 20)[:12].replace(b"\x14", b"\xff") + b"x" * 30)
    (bad, _) = TfdsTable(copy, {}).pointers()
    with pytest.raises(DamagedRecordingError, match="length of the next record fails"):
        TfdsTable(copy, {}).read(bad, ["action"])
    huge = (1 << 60).to_bytes(8, "little")
    head = framed(huge)[12:20]
    import google_crc32c

    crc = google_crc32c.value(head)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    shard.write_bytes(huge + masked.to_bytes(4, "little") + b"x" * 30)
    (bad, _) = TfdsTable(copy, {}).pointers()
    with pytest.raises(DamagedRecordingError, match="inside a record of 1,152,921,504"):
        TfdsTable(copy, {}).read(bad, ["action"])


def test_a_missing_shard_is_named(copy):
    (copy / "tiny-train.tfrecord-00000-of-00001").unlink()
    table = TfdsTable(copy, {})
    assert any("00000-of-00001 is missing" in note for note in table.contents().notes)
    (pointer,) = table.pointers()
    with pytest.raises(DamagedRecordingError, match="missing"):
        table.read(pointer, ["action"])


def test_a_record_without_a_feature_is_a_reason(copy):
    said = json.loads((copy / "features.json").read_text())
    steps = said["featuresDict"]["features"]["steps"]["sequence"]["feature"]
    inner = steps["featuresDict"]["features"]
    inner["missing"] = inner["action"]
    inner["action"] = inner["observation"]["featuresDict"]["features"]["state"]
    (copy / "features.json").write_text(json.dumps(said))
    table = TfdsTable(copy, {})
    pointer = next(table.pointers())
    with pytest.raises(DamagedRecordingError, match="the record has no steps/missing"):
        table.read(pointer, ["missing"])
    with pytest.raises(DamagedRecordingError, match="3 numbers, which are no rows of"):
        table.read(pointer, ["action"])


@pytest.mark.parametrize("name", ["features.json", "dataset_info.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_broken_json_is_told_with_its_path(copy, name, content):
    (copy / name).write_text(content)
    with pytest.raises(DamagedRecordingError, match=name):
        TfdsTable(copy, {})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fileFormat": "array_record"}, "'array_record' files.*convert_format"),
        ({"name": "../../x"}, "is no file of this folder"),
        ({"name": "x" * 300}, "a name of 33. bytes"),
        ({"splits": []}, "no split declares a shard"),
    ],
)
def test_what_the_info_must_not_say_is_told(copy, changes, reason):
    path = copy / "dataset_info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(DamagedRecordingError, match=reason):
        TfdsTable(copy, {})


def test_a_split_is_chosen(made):
    assert len(list(TfdsTable(made, {"split": "train"}).pointers())) == 2
    with pytest.raises(UserError, match=r"unknown split 'trian': did you mean 'train'"):
        TfdsTable(made, {"split": "trian"})


def test_the_real_bridge_set_is_read_as_tfds_reads_it():
    folder = sample("octo_bridge_rlds/bridge_dataset/1.0.0")
    table = TfdsTable(folder, {})
    assert table.contents().episodes == 5
    assert len(all_fields(table)) == 13
    for segment, (steps, said) in zip(read_all(table), _by_tfds(folder, ["image_0"])):
        for name in ("action", "reward", "is_last", "language_embedding"):
            assert_equal(segment, name, [step[name] for step in steps])
        states = [step["observation"]["state"] for step in steps]
        assert_equal(segment, "observation/state", states)
        frames = segment.streams["observation/image_0"].values.frames
        assert list(frames) == [step["observation"]["image_0"] for step in steps]
        assert segment.attributes["episode_id"] == said["episode_id"]
