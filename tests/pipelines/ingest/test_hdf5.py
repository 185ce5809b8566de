"""Demonstrations in HDF5 are read as they were written, whatever the layout."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from thresher.episodes.errors import UserError
from thresher.episodes.images import EncodedImages
from thresher.pipelines.ingest.hdf5 import Hdf5Reader, Hdf5Table
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.tests.pipelines.ingest.tables import (
    assert_equal,
    read_all,
    values,
)

h5py = pytest.importorskip("h5py")


def _pixels(rng, *shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


def _file(pixels, kind="JPEG"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def robomimic(tmp_path, rng):
    path = tmp_path / "demo.hdf5"
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "more": {"a": 1}})
        data.attrs["total"] = 22
        for number in (0, 1, 2, 10):
            demo = data.create_group(f"demo_{number}")
            demo.attrs["num_samples"] = number + 3
            demo.attrs["success"] = number != 1
            steps = number + 3
            demo["actions"] = rng.normal(size=(steps, 7))
            demo.create_dataset(
                "rewards", data=np.arange(steps), chunks=(2,), compression="gzip"
            )
            demo["dones"] = np.arange(steps) == steps - 1
            demo["obs/image"] = _pixels(rng, steps, 8, 6, 3)
            demo["next_obs/eef"] = rng.normal(size=(steps, 3)).astype(np.float32)
        names = np.array(["demo_2", "demo_10"], dtype="S8")
        file["mask/train"] = names
    return path


def test_robomimic_demos_come_in_the_order_of_their_numbers(robomimic):
    table = Hdf5Table(robomimic, {})
    pointers = list(table.pointers())
    assert [p.position for p in pointers] == [f"data/demo_{n}" for n in (0, 1, 2, 10)]
    assert [p.rows for p in pointers] == [3, 4, 5, 13]
    assert table.contents().episodes == 4


def test_values_are_those_in_the_file(robomimic):
    with h5py.File(robomimic) as file:
        for segment in read_all(Hdf5Table(robomimic, {})):
            for name in segment.streams:
                assert_equal(segment, name, file[segment.position][name][()])


def test_only_what_is_asked_for_is_read(robomimic):
    table = Hdf5Table(robomimic, {})
    segment = table.read(next(table.pointers()), ["actions"])
    assert list(segment.streams) == ["actions"]
    assert segment.streams["actions"].times_ns.tolist() == [0, 10**9, 2 * 10**9]


def test_attributes_near_the_episode_win_and_json_is_looked_into(robomimic):
    table = Hdf5Table(robomimic, {})
    segment = table.read(list(table.pointers())[2], ["actions"])
    assert segment.attributes["env_args/env_name"] == "Lift"
    assert segment.attributes["num_samples"] == 5
    assert segment.attributes["success"] is True
    assert segment.attributes["filter_keys"] == ["train"]
    assert set(segment.attributes) >= {"total", "env_args"}


def test_a_filter_key_chooses_demos(robomimic):
    table = Hdf5Table(robomimic, {"mask": "train"})
    assert [p.position for p in table.pointers()] == ["data/demo_2", "data/demo_10"]
    with pytest.raises(UserError, match=r"unknown filter key 'trian'.*train"):
        list(Hdf5Table(robomimic, {"mask": "trian"}).pointers())


def test_an_unknown_field_is_told_with_the_near_ones(robomimic):
    table = Hdf5Table(robomimic, {})
    with pytest.raises(UserError, match="did you mean 'obs/image'"):
        table.read(next(table.pointers()), ["obs/imag"])


def test_an_unknown_option_is_told(robomimic):
    with pytest.raises(UserError, match=r"option of hdf5 'epsiodes'.*'episodes'"):
        Hdf5Table(robomimic, {"epsiodes": "*"})


def test_pictures_can_be_kept_as_they_are_or_as_jpeg(robomimic):
    raw = Hdf5Table(robomimic, {"images": "raw"})
    pointer = next(raw.pointers())
    pixels = raw.read(pointer, ["obs/image"]).streams["obs/image"].values
    assert isinstance(pixels, np.ndarray)
    png = Hdf5Table(robomimic, {}).read(pointer, ["obs/image"])
    assert_equal(png, "obs/image", pixels)
    jpeg = Hdf5Table(robomimic, {"images": "jpeg"}).read(pointer, ["obs/image"])
    assert jpeg.streams["obs/image"].values.encoding == "jpeg"
    with pytest.raises(UserError, match="option images 'gif'"):
        Hdf5Table(robomimic, {"images": "gif"})


def test_aloha_has_one_episode_a_file_and_padded_jpeg_files(tmp_path, rng):
    path = tmp_path / "episode_3.hdf5"
    frames = [_file(_pixels(rng, 16, 16, 3)) for _ in range(5)]
    width = max(map(len, frames)) + 7
    with h5py.File(path, "w") as file:
        file.attrs["sim"] = True
        file["observations/qpos"] = rng.normal(size=(5, 14))
        file["action"] = rng.normal(size=(5, 14))
        padded = np.zeros((5, width), np.uint8)
        for row, frame in enumerate(frames):
            padded[row, : len(frame)] = np.frombuffer(frame, np.uint8)
        file["observations/images/cam_high"] = padded
        file["compress_len"] = np.array([[len(f) for f in frames]], np.float64)
    table = Hdf5Table(path, {})
    (segment,) = read_all(table)
    kept = segment.streams["observations/images/cam_high"].values
    assert kept == EncodedImages(tuple(frames), "jpeg")
    assert segment.attributes["sim"] is True
    with h5py.File(path, "a") as file:
        file["compress_len"][0, 2] += 1
    with pytest.raises(DamagedRecordingError, match=r"row 2.*compress_len says"):
        table.read(next(table.pointers()), ["observations/images/cam_high"])


def test_droid_has_one_episode_a_file_and_a_clock_of_its_own(tmp_path, rng):
    path = tmp_path / "trajectory.h5"
    clock = 1_700_000_000_000 + np.arange(4) * 66
    with h5py.File(path, "w") as file:
        file.attrs.update({"success": True, "building": "lab"})
        file["action/joint_velocity"] = rng.normal(size=(4, 7))
        file["observation/robot_state/gripper"] = rng.normal(size=4)
        file["observation/timestamp/robot_state/start"] = clock
    options = {
        "clock": "observation/timestamp/robot_state/start",
        "clock_unit": "ms",
    }
    (segment,) = read_all(Hdf5Table(path, options))
    times = segment.streams["action/joint_velocity"].times_ns
    assert times.tolist() == (clock * 10**6).tolist()
    assert segment.attributes["building"] == "lab"
    assert segment.position == "whole file"


def test_d4rl_rows_are_cut_where_an_episode_ends(tmp_path, rng):
    path = tmp_path / "maze.hdf5"
    terminals = np.zeros(10, bool)
    timeouts = np.zeros(10, bool)
    terminals[3] = timeouts[7] = True
    with h5py.File(path, "w") as file:
        file["observations"] = rng.normal(size=(10, 4)).astype(np.float32)
        file["actions"] = rng.normal(size=(10, 2)).astype(np.float32)
        file["rewards"] = np.arange(10, dtype=np.float32)
        file["terminals"], file["timeouts"] = terminals, timeouts
        file["infos/qpos"] = rng.normal(size=(10, 2))
        file["metadata/algorithm"] = "SAC"
    table = Hdf5Table(path, {})
    segments = read_all(table)
    positions = ["rows 0-4", "rows 4-8", "rows 8-10"]
    assert [segment.position for segment in segments] == positions
    ended = [segment.attributes["ended_by"] for segment in segments]
    assert ended == ["terminals", "timeouts", "end of file"]
    assert_equal(segments[1], "rewards", [4, 5, 6, 7])
    assert segments[0].attributes["metadata/algorithm"] == "SAC"
    assert [p.rows for p in table.pointers()] == [4, 4, 2]


def test_rows_of_the_first_episode_are_told_apart_from_those_of_the_file(tmp_path):
    path = tmp_path / "hopper.hdf5"
    with h5py.File(path, "w") as file:
        file["observations"] = np.ones((10, 4))
        file["terminals"] = np.arange(10) == 3
        file["metadata/weights"] = np.ones(2)
    contents = Hdf5Table(path, {}).contents()
    told = {field.name: (field.count, field.note) for field in contents.fields}
    assert told == {
        "observations": (10, "4 rows in the first episode"),
        "terminals": (10, "4 rows in the first episode"),
        # No row of it belongs to a step.
        "metadata/weights": (2, ""),
    }
    assert "fields have [2, 10] rows" in contents.notes


def test_arrays_with_time_last_are_turned(tmp_path, rng):
    path = tmp_path / "mocap.h5"
    joints = rng.normal(size=(2, 56, 10))
    with h5py.File(path, "w") as file:
        for number in range(2):
            clip = file.create_group(f"clip_{number}")
            clip.attrs["dt"] = 0.05
            clip["joints"] = joints[number]
    table = Hdf5Table(path, {"transpose": "true"})
    first, second = read_all(table)
    assert_equal(first, "joints", joints[0].T)
    assert_equal(second, "joints", joints[1].T)
    assert first.attributes["dt"] == 0.05
    assert [p.rows for p in table.pointers()] == [10, 10]


def test_any_layout_is_told_by_a_pattern(tmp_path):
    path = tmp_path / "own.h5"
    with h5py.File(path, "w") as file:
        for day in "ab":
            for run in range(2):
                file[f"days/{day}/run{run}/q"] = np.full(3, run)
        file["days/a/notes"] = "none"
    table = Hdf5Table(path, {"episodes": "days/*/run*"})
    assert [p.position for p in table.pointers()] == [
        "days/a/run0",
        "days/a/run1",
        "days/b/run0",
        "days/b/run1",
    ]
    with pytest.raises(UserError, match="no group matches option episodes='x/"):
        list(Hdf5Table(path, {"episodes": "x/*"}).pointers())


def test_one_more_observation_than_actions_stays_so(tmp_path):
    path = tmp_path / "n1.hdf5"
    with h5py.File(path, "w") as file:
        file["data/demo_0/obs"] = np.arange(4.0)
        file["data/demo_0/actions"] = np.arange(3.0)
        file["data/demo_0/empty"] = np.zeros((3, 0))
    (segment,) = read_all(Hdf5Table(path, {}))
    assert len(segment.streams["obs"].times_ns) == 4
    assert len(segment.streams["actions"].times_ns) == 3
    assert segment.streams["empty"].values.shape == (3, 0)


def test_fields_that_differ_by_more_than_a_row_are_refused(tmp_path):
    path = tmp_path / "torn.hdf5"
    with h5py.File(path, "w") as file:
        file["data/demo_0/obs"] = np.arange(9.0)
        file["data/demo_0/actions"] = np.arange(3.0)
        file["data/demo_1/obs"] = np.arange(3.0)
        file["data/demo_1/actions"] = np.arange(3.0)
    table = Hdf5Table(path, {})
    torn, sound = table.pointers()
    with pytest.raises(
        DamagedRecordingError, match="data/demo_0: actions has 3 rows, obs has 9"
    ):
        table.read(torn, ["obs", "actions"])
    assert_equal(table.read(sound, ["obs", "actions"]), "obs", [0, 1, 2])


def test_texts_and_image_files_of_varying_length_are_read(tmp_path, rng):
    path = tmp_path / "texts.hdf5"
    frames = [_file(_pixels(rng, 4, 4, 3), "PNG") for _ in range(3)]
    with h5py.File(path, "w") as file:
        group = file.create_group("data/demo_0")
        words = group.create_dataset("words", (3,), dtype=h5py.string_dtype())
        words[:] = ["pick", "plåce", ""]
        images = group.create_dataset("images", (3,), dtype=h5py.vlen_dtype(np.uint8))
        for row, frame in enumerate(frames):
            images[row] = np.frombuffer(frame, np.uint8)
    (segment,) = read_all(Hdf5Table(path, {}))
    assert values(segment, "words").tolist() == ["pick", "plåce", ""]
    assert segment.streams["images"].values == EncodedImages(tuple(frames), "png")


def test_a_clock_that_is_no_time_names_the_row(tmp_path):
    path = tmp_path / "clock.hdf5"
    with h5py.File(path, "w") as file:
        file["data/demo_0/q"] = np.arange(3.0)
        file["data/demo_0/t"] = [0.0, np.nan, 2.0]
    table = Hdf5Table(path, {"clock": "t"})
    with pytest.raises(DamagedRecordingError, match="the clock is nan s at row 1"):
        table.read(next(table.pointers()), ["q"])
    with pytest.raises(UserError, match="clock unit 'min'"):
        Hdf5Reader(path, {"clock": "t", "clock_unit": "min"}).read(
            next(table.pointers()), ["q"]
        )


@pytest.mark.parametrize("content", [b"", b"no hdf5", b"\x89HDF\r\n\x1a", b"\x80\x04."])
def test_wrong_and_missing_magic_is_told(tmp_path, content):
    path = tmp_path / "x.hdf5"
    path.write_bytes(content)
    assert not Hdf5Table.recognises(path)
    with pytest.raises(DamagedRecordingError, match="does not start as HDF5 does"):
        Hdf5Table(path, {})


def test_a_cut_file_is_damaged_and_named(robomimic):
    data = robomimic.read_bytes()
    robomimic.write_bytes(data[: len(data) // 2])
    with pytest.raises(DamagedRecordingError, match=r"demo\.hdf5.*h5ls"):
        Hdf5Table(robomimic, {}).contents()


@settings(max_examples=25, deadline=None)
@given(
    array=hnp.arrays(
        st.sampled_from(["f4", "f8", "i4", "i8", "u1", "?", ">f4", "f2"]),
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5),
    ),
    chunked=st.booleans(),
)
def test_any_numbers_come_back_as_they_were(tmp_path_factory, array, chunked):
    path = tmp_path_factory.mktemp("numbers") / "x.hdf5"
    with h5py.File(path, "w") as file:
        more = {"chunks": True, "compression": "gzip"} if chunked else {}
        file.create_dataset("data/demo_0/x", data=array, **more)
    reader = Hdf5Reader(path, {})
    segment = reader.read(next(reader.pointers()), ["x"])
    assert_equal(segment, "x", array)
    assert segment.streams["x"].values.dtype == array.dtype.newbyteorder("=")
