"""EnvLogger's trajectories are read through EnvLogger's own library."""

from __future__ import annotations

import numpy as np
import pytest

from thresher.benchmarks.sound_tables import ENVLOGGER_STEPS as STEPS
from thresher.benchmarks.sound_tables import write_envlogger
from thresher.episodes.errors import UserError
from thresher.pipelines.ingest import optional
from thresher.pipelines.ingest.envlogger import EnvLoggerReader, EnvLoggerTable
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.tests.pipelines.ingest.tables import assert_equal, read_all


@pytest.fixture
def log(tmp_path):
    pytest.importorskip("envlogger")
    return write_envlogger(tmp_path)


def test_actions_fall_into_the_place_of_the_observation_they_followed(log):
    segments = read_all(EnvLoggerTable(log, {}))
    assert [segment.position for segment in segments] == ["episode 0", "episode 1"]
    for segment in segments:
        pos = [[step, 1.5] for step in range(STEPS + 1)]
        assert_equal(segment, "observation/pos", np.array(pos, np.float32))
        # The world's count when it was asked to step, which is what the action held.
        assert_equal(segment, "action", [[step] * 3 for step in range(STEPS)])
        np.testing.assert_allclose(
            segment.streams["reward"].values, [0.1, 0.2, 0.3, 1.0]
        )
        assert_equal(segment, "discount", [1, 1, 1, 0])
        assert_equal(segment, "step_type", [0, 1, 1, 1, 2])
        assert_equal(segment, "custom_data/time", np.arange(STEPS + 1) * 0.5)
        assert_equal(segment, "observation/deep/tick", np.arange(STEPS + 1))


@pytest.mark.parametrize("images", ["png", "raw"])
def test_pixels_are_kept_as_asked(log, images):
    for segment in read_all(EnvLoggerTable(log, {"images": images})):
        wanted = np.arange(STEPS + 1, dtype=np.uint8)[:, None, None, None]
        assert_equal(
            segment, "observation/image", np.broadcast_to(wanted, (STEPS + 1, 4, 5, 3))
        )


def test_metadata_of_the_log_and_the_episode_are_attributes(log):
    for segment in read_all(EnvLoggerTable(log, {})):
        assert segment.attributes["robot"] == "counter"
        assert segment.attributes["success"] is True


def test_a_cut_shard_is_damaged_and_named(log):
    (steps,) = log.glob("*/steps.riegeli")
    steps.write_bytes(steps.read_bytes()[:70])
    with pytest.raises(DamagedRecordingError, match=str(log)):
        read_all(EnvLoggerTable(log, {}))


def test_unknown_fields_and_options_are_told(log, tmp_path):
    table = EnvLoggerTable(log, {})
    with pytest.raises(UserError, match="did you mean 'action'"):
        table.read(next(table.pointers()), ["acton"])
    with pytest.raises(UserError, match="option of envlogger 'image'"):
        EnvLoggerTable(log, {"image": "png"})


def test_another_folder_is_none(tmp_path):
    assert not EnvLoggerTable.recognises(tmp_path)
    with pytest.raises(DamagedRecordingError, match=r"no metadata\.riegeli"):
        EnvLoggerReader(tmp_path, {})


def test_a_library_that_is_missing_is_told_with_how_to_get_it(tmp_path, monkeypatch):
    (tmp_path / "metadata.riegeli").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "envlogger", None)
    with pytest.raises(UserError, match=r"needs 'envlogger'.*thresher\[logs\]"):
        EnvLoggerReader(tmp_path, {}).contents()
    # It may have been loaded before.
    optional.load_h5py.cache_clear()
    for package in ("h5py", "av"):
        monkeypatch.setitem(__import__("sys").modules, package, None)
        with pytest.raises(UserError, match=rf"needs '{package}'.*thresher\[logs\]"):
            getattr(optional, f"load_{package}")()
