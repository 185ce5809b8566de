"""What only marks a time is a mark whatever is in it."""

from __future__ import annotations

import pytest

from thresher.benchmarks.sound_logs import (
    arm_rows,
    stamp,
    write_json_mcap,
    write_ros2_mcap,
)
from thresher.pipelines.ingest.mcap_log import McapLog
from thresher.tests.pipelines.ingest.tiny_logs import (
    ARM_MAPPING,
    episodes_of,
    ingest_here,
    write_mapping,
)

_ROS2_MAPPING = """
name: arm
robot: tiny_arm
behaviour: {kind: teleoperated}
clock: {stream: /arm.q}
step_seconds: 0.1
episodes: {by: message, start: /begin, stop: /end}
features:
  observation/q: {from: /arm.q, shape: [2]}
"""


def _ingested(tmp_path, path, text):
    out = tmp_path / "out"
    report = ingest_here(path, write_mapping(tmp_path, text), out)
    assert all(r.reconciles and not r.notes for r in report.recordings)
    return [episode.num_steps for episode in episodes_of(out)]


@pytest.mark.parametrize("said", [{"data": "success"}, {}, {"a": 1, "b": [None]}])
def test_topics_mark_episodes_whatever_their_messages_say(tmp_path, said):
    rows = [*arm_rows(3), ("/begin", 0.5, said), *arm_rows(4, start=0.6)]
    rows += [("/end", 1.0, said), *arm_rows(3, start=1.1)]
    path = write_json_mcap(tmp_path / "a.mcap", rows)
    marks = "episodes: {by: message, start: /begin, stop: /end}\n"
    assert _ingested(tmp_path, path, ARM_MAPPING + marks) == [4]


def test_messages_without_fields_mark_episodes(tmp_path):
    """As std_msgs/Empty, of which a recording holds an empty definition."""

    def arm(k):
        return {"header": stamp(k / 10), "q": [k, k], "tip": {"z": 0, "x": 0}}

    rows = [("/arm", k / 10, "my_robot/msg/Arm", arm(k)) for k in range(10)]
    rows.insert(7, ("/end", 0.65, "std_msgs/msg/Empty", {}))
    rows.insert(3, ("/begin", 0.25, "std_msgs/msg/Empty", {}))
    path = write_ros2_mcap(tmp_path / "a.mcap", rows)
    assert _ingested(tmp_path, path, _ROS2_MAPPING) == [4]
    named = McapLog(path, {"ros_distro": "humble"})
    assert [m.problem for m in named.messages(["/begin"])] == [""]


def test_a_silence_may_be_of_a_topic_of_texts(tmp_path):
    beats = [("/beat", k / 10, {"word": "alive"}) for k in (0, 1, 2, 6, 7)]
    rows = sorted([*arm_rows(8), *beats], key=lambda row: row[1])
    path = write_json_mcap(tmp_path / "a.mcap", rows)
    marks = "episodes: {by: gap, field: /beat, seconds: 0.3}\n"
    assert _ingested(tmp_path, path, ARM_MAPPING + marks) == [5, 2]


def test_a_clock_may_be_a_topic_of_texts(tmp_path):
    ticks = [("/tick", 0.01 + k / 10, {"word": "now"}) for k in range(5)]
    rows = sorted([*arm_rows(8), *ticks], key=lambda row: row[1])
    path = write_json_mcap(tmp_path / "a.mcap", rows)
    text = ARM_MAPPING.replace("stream: /state.q", "stream: /tick")
    assert _ingested(tmp_path, path, text) == [5]
