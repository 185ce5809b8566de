"""Logs that real robots recorded, each with its mapping in docs/examples.

They lie in ../shared/data beside the project and are skipped where that is absent.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from thresher.episodes.contract import violations
from thresher.pipelines.ingest.formats import open_recording
from thresher.pipelines.ingest.ingest import ingested_logs
from thresher.pipelines.ingest.inspect import inspect
from thresher.pipelines.ingest.suggest import suggest
from thresher.tests.pipelines.ingest.tiny_logs import (
    SHARED,
    episodes_of,
    ingest_here,
    write_mapping,
)

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
ROS2 = "ros2_rosbag2/rosbag2_py/test/resources"
# Mapping, recording, steps of each episode, messages of the topics it names.
SAMPLES = [
    ("husky_ros1", "robot_localization/test/test1.bag", [3951], 16806),
    ("turtlesim_ros1", "foxglove_rosbag/fixtures/example-bz2.bag", [203], 3045),
    ("turtlesim_ros1", "foxglove_rosbag/fixtures/example-lz4.bag", [203], 3045),
    ("tilt_laser_ros1", "plotjuggler/datasamples/tilt_laser.bag", [102, 47, 26], 1601),
    ("pose_imu_battery_ros2", "plotjuggler/datasamples/rosbag2_test", [313], 4695),
    ("tf_only", "evo/test/data/tf_example.bag", [517], 518),
    ("tf_only", "evo/test/data/tf_example", [517], 518),
    ("turtlebot_mcap", "evo/test/data/nav2_turtlebot.mcap", [409, 539], 2774),
    ("talker", f"{ROS2}/mcap/talker", [10], 10),
    ("talker", f"{ROS2}/sqlite3/talker", [10], 10),
    ("split_bag", f"{ROS2}/sqlite3/wbag", [633], 1546),
    ("franka_teach_json", "lbx_franka_teach", [5, 4], 27),
]
pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real recordings (../shared/data) are not here"
)


@pytest.mark.parametrize(
    ("name", "recording", "steps", "messages"), SAMPLES, ids=lambda v: str(v)[-24:]
)
def test_a_real_log_becomes_sound_episodes_and_its_messages_reconcile(
    tmp_path, name, recording, steps, messages
):
    out = tmp_path / "out"
    report = ingest_here(SHARED / recording, EXAMPLES / f"{name}.yaml", out)
    found = episodes_of(out)
    assert [episode.num_steps for episode in found] == steps
    total = report.total()
    assert total["read"] == messages
    assert total["read"] == total["used"] + sum(total["dropped"].values())
    spec = _spec(out)
    for episode in found:
        assert violations(episode, spec) == []


def _spec(out):
    from thresher.episodes.raw_log import RawLogReader

    return RawLogReader(ingested_logs(out)[0]).spec


@pytest.mark.parametrize(
    ("name", "recordings"),
    [
        ("tf_only", ["evo/test/data/tf_example.bag", "evo/test/data/tf_example"]),
        ("talker", [f"{ROS2}/mcap/talker", f"{ROS2}/sqlite3/talker"]),
        ("turtlesim_ros1", [s[1] for s in SAMPLES if s[0] == "turtlesim_ros1"]),
    ],
)
def test_one_recording_in_two_formats_gives_equal_episodes(tmp_path, name, recordings):
    ids = []
    for number, recording in enumerate(recordings):
        out = tmp_path / str(number)
        ingest_here(SHARED / recording, EXAMPLES / f"{name}.yaml", out)
        ids.append([episode.episode_id for episode in episodes_of(out)])
    assert ids[0] == ids[1]


def test_values_are_those_that_rosbags_reads(tmp_path):
    from rosbags.highlevel import AnyReader

    path = SHARED / "robot_localization/test/test1.bag"
    topic = "/husky_velocity_controller/odom"
    with AnyReader([path]) as reader:
        chosen = [c for c in reader.connections if c.topic == topic]
        expected = [
            [
                (p := reader.deserialize(data, c.msgtype).pose.pose.position).x,
                p.y,
                p.z,
            ]
            for c, _, data in reader.messages(chosen)
        ]
    field = f"{topic}.pose.pose.position"
    found = [m.values[field] for m in open_recording(path).messages([field])]
    assert np.array_equal(found, expected)


def test_a_recorder_s_verdict_becomes_success_and_reward(tmp_path):
    out = tmp_path / "out"
    mapping = EXAMPLES / "franka_teach_json.yaml"
    ingest_here(SHARED / "lbx_franka_teach", mapping, out)
    for episode in episodes_of(out):
        assert episode.metadata.outcome.success.value == "yes"
        assert episode.array("reward")[-2] == 1.0
        assert episode.metadata.behaviour.kind.value == "teleoperated"


@pytest.mark.parametrize(
    "recording", sorted({sample[1] for sample in SAMPLES if "." in sample[1][-5:]})
)
def test_a_suggested_mapping_ingests_as_it_is(tmp_path, recording):
    path = SHARED / recording
    mapping = write_mapping(tmp_path, suggest(path))
    out = tmp_path / "out"
    assert ingest_here(path, mapping, out).episodes >= 1
    for episode in episodes_of(out):
        assert violations(episode, _spec(out)) == []


@pytest.mark.parametrize("sample", [s for s in SAMPLES if "split" not in s[0]][::3])
def test_inspect_names_every_topic_that_the_mapping_uses(sample):
    from thresher.pipelines.ingest.mapping_file import load_mapping

    name, recording, _, _ = sample
    mapping = load_mapping(EXAMPLES / f"{name}.yaml")
    path = SHARED / recording
    file = next(iter(sorted(path.glob("*.mcap"))), path)
    text = "\n".join(inspect(file, mapping.options))
    for field in mapping.fields():
        assert field.split(".")[0].split("[")[0] in text
