"""Minari datasets are read as Minari itself reads them, whatever their storage."""

from __future__ import annotations

import json
import shutil

import pytest

from thresher.benchmarks.sound_tables import MINARI_STEPS, write_minari
from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.minari_set import MinariReader, MinariTable
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.tests.pipelines.ingest.tables import (
    DATA,
    all_fields,
    assert_equal,
    read_all,
    values,
)

minari = pytest.importorskip("minari")
pytest.importorskip("h5py")

STORAGES = ("hdf5", "arrow", "parquet")


@pytest.fixture(params=STORAGES)
def dataset(request, tmp_path):
    path = write_minari(tmp_path, request.param)
    return path, list(minari.MinariDataset(path / "data").iterate_episodes())


def test_every_value_is_what_minari_reads(dataset):
    path, episodes = dataset
    segments = read_all(MinariTable(path, {}))
    assert len(segments) == 2
    for segment, episode in zip(segments, episodes):
        assert_equal(segment, "observations/pos", episode.observations["pos"])
        assert_equal(segment, "observations/cam", episode.observations["cam"])
        assert_equal(segment, "actions", episode.actions)
        assert_equal(segment, "rewards", episode.rewards)
        assert_equal(segment, "terminations", episode.terminations)
        assert_equal(segment, "infos/x", episode.infos["x"])


def test_there_is_one_more_observation_than_actions(dataset):
    path, _ = dataset
    for segment, steps in zip(read_all(MinariTable(path, {})), MINARI_STEPS):
        assert len(segment.streams["observations/pos"].times_ns) == steps + 1
        assert len(segment.streams["actions"].times_ns) == steps


def test_the_metadata_are_attributes(dataset):
    path, _ = dataset
    segment = read_all(MinariTable(path, {}))[1]
    assert segment.attributes["seed"] == 1
    assert segment.attributes["total_steps"] == MINARI_STEPS[1]
    assert segment.attributes["algorithm_name"] == "random"
    assert not any(name.endswith("_space") for name in segment.attributes)


def test_the_folder_of_the_data_is_the_dataset_too(dataset):
    path, _ = dataset
    assert MinariTable.recognises(path)
    assert MinariTable.recognises(path / "data")
    assert not MinariTable.recognises(path.parent)
    assert MinariTable(path / "data", {}).contents().episodes == 2


def test_an_unknown_field_is_told(dataset):
    path, _ = dataset
    table = MinariTable(path, {})
    with pytest.raises(UserError, match="did you mean 'observations/pos'"):
        table.read(next(table.pointers()), ["observations/poss"])


def test_a_count_that_disagrees_is_told(dataset):
    path, _ = dataset
    metadata = path / "data" / "metadata.json"
    said = json.loads(metadata.read_text())
    metadata.write_text(json.dumps({**said, "total_episodes": 5}))
    notes = MinariTable(path, {}).contents().notes
    assert any("says 5 episodes, there are 2" in note for note in notes)


@pytest.mark.parametrize("dataset", ["arrow", "parquet"], indirect=True)
def test_damage_in_one_episode_leaves_the_other(dataset):
    path, _ = dataset
    (part,) = (path / "data" / "0").glob("part-*")
    part.write_bytes(part.read_bytes()[:200])
    table = MinariTable(path, {})
    assert "actions" in all_fields(table)
    first, second = table.pointers()
    with pytest.raises(DamagedRecordingError, match="episode_0"):
        table.read(first, ["actions"])
    assert values(table.read(second, ["actions"]), "actions").shape == (6, 2)


@pytest.mark.parametrize("dataset", ["arrow"], indirect=True)
@pytest.mark.parametrize("case", ["00344", "01938"])
def test_arrow_that_ends_the_process_costs_one_episode(dataset, case):
    """Found by fuzzing: Arrow 25 believes the lengths in a file's own head."""
    path, _ = dataset
    shutil.copy(DATA / f"damaged_{case}.arrow", path / "data" / "0" / "part-0.arrow")
    table = MinariTable(path, {})
    first, second = table.pointers()
    with pytest.raises(DamagedRecordingError, match="episode_0"):
        table.read(first, ["actions", "observations/pos", "observations/cam"])
    assert values(table.read(second, ["actions"]), "actions").shape == (6, 2)


@pytest.mark.parametrize("dataset", ["arrow"], indirect=True)
def test_steps_that_disagree_with_the_metadata_are_a_reason(dataset):
    path, _ = dataset
    metadata = path / "data" / "1" / "metadata.json"
    said = json.loads(metadata.read_text())
    metadata.write_text(json.dumps({**said, "total_steps": 9}))
    table = MinariTable(path, {})
    with pytest.raises(
        DamagedRecordingError, match=r"episode_1.*\[7\] rows for 9 steps"
    ):
        table.read(list(table.pointers())[1], ["actions"])


@pytest.mark.parametrize("dataset", ["hdf5"], indirect=True)
def test_broken_metadata_and_other_storages_are_told(dataset):
    path, _ = dataset
    metadata = path / "data" / "metadata.json"
    metadata.write_text('{"data_format": "zarr"}')
    with pytest.raises(UserError, match="Minari storage 'zarr'"):
        MinariTable(path, {})
    for broken in ("", "[]", "{"):
        metadata.write_text(broken)
        with pytest.raises(DamagedRecordingError, match=r"metadata\.json"):
            MinariReader(path, {})
