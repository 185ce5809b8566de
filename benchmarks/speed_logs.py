"""Large message logs of generated robots, written by their formats' own libraries.

Joints at 200 Hz, an odometry at 50 Hz and a camera at 25 Hz.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from thresher.episodes.images import encode_image

SECOND = 10**9
T0 = 1_700_000_000 * SECOND
JOINT_HZ, ODOMETRY_EVERY, CAMERA_EVERY = 200, 4, 8
# Silence between episodes, so that a log of any length is read in bounded memory; an
# episode comes close to the limit of what one may hold.
EPISODE_SECONDS, SILENCE_SECONDS = 105, 5


def pictures() -> list[bytes]:
    """Returns JPEG files of some 40 kB each."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (8, 60, 80, 3), np.uint8)
    return [encode_image(n.repeat(4, 0).repeat(4, 1), "jpeg") for n in noise]


def rows(megabytes: float) -> Iterator[tuple[str, int, int]]:
    """Yields (topic, time in ns, number) until a log is about so large."""
    size_of = {"/joints": 250, "/odom": 750, "/camera": len(pictures()[0]) + 80}
    total, number, now = 0.0, 0, T0
    while total < megabytes * 1e6:
        topics = ["/joints"]
        topics += ["/odom"] if number % ODOMETRY_EVERY == 0 else []
        topics += ["/camera"] if number % CAMERA_EVERY == 0 else []
        for topic in topics:
            total += size_of[topic]
            yield topic, now, number
        number += 1
        now += SECOND // JOINT_HZ
        if number % (EPISODE_SECONDS * JOINT_HZ) == 0:
            now += SILENCE_SECONDS * SECOND


class Messages:
    """Makes ROS messages of generated numbers, of either ROS."""

    TYPES: ClassVar = {
        "/joints": "sensor_msgs/msg/JointState",
        "/odom": "nav_msgs/msg/Odometry",
        "/camera": "sensor_msgs/msg/CompressedImage",
    }

    def __init__(self, store_name: str) -> None:
        from rosbags.typesys import Stores, get_typestore

        self.store = get_typestore(Stores(store_name))
        self._pictures = [np.frombuffer(p, np.uint8) for p in pictures()]
        self._has_seq = "ros1" in store_name

    def make(self, topic: str, time_ns: int, number: int) -> Any:
        header = self._header(time_ns, number)
        if topic == "/camera":
            data = self._pictures[number // CAMERA_EVERY % len(self._pictures)]
            return self._type("sensor_msgs/msg/CompressedImage")(header, "jpeg", data)
        numbers = np.arange(7.0) + number
        if topic == "/joints":
            names = [f"joint_{k}" for k in range(7)]
            kind = self._type("sensor_msgs/msg/JointState")
            return kind(header, names, numbers, numbers / 10, numbers * 0)
        return self._odometry(header, float(number))

    def _header(self, time_ns: int, number: int) -> Any:
        stamp = self._type("builtin_interfaces/msg/Time")(*divmod(time_ns, SECOND))
        header = self._type("std_msgs/msg/Header")
        return header(number, stamp, "base") if self._has_seq else header(stamp, "base")

    def _odometry(self, header: Any, x: float) -> Any:
        vector = self._type("geometry_msgs/msg/Vector3")
        point = self._type("geometry_msgs/msg/Point")(x, 2 * x, 0.0)
        turn = self._type("geometry_msgs/msg/Quaternion")(0.0, 0.0, 0.0, 1.0)
        pose = self._type("geometry_msgs/msg/Pose")(point, turn)
        twist = self._type("geometry_msgs/msg/Twist")(
            vector(x, 0.0, 0.0), vector(0.0, 0.0, x)
        )
        spread = np.zeros(36)
        return self._type("nav_msgs/msg/Odometry")(
            header,
            "tip",
            self._type("geometry_msgs/msg/PoseWithCovariance")(pose, spread),
            self._type("geometry_msgs/msg/TwistWithCovariance")(twist, spread),
        )

    def _type(self, name: str) -> Any:
        return self.store.types[name]


def write_ros1(path: Path, megabytes: float, compression: str = "") -> Path:
    from rosbags.rosbag1 import Writer

    messages = Messages("ros1_noetic")
    writer = Writer(path)
    if compression:
        writer.set_compression(Writer.CompressionFormat[compression])
    with writer:
        connections = {
            topic: writer.add_connection(topic, kind, typestore=messages.store)
            for topic, kind in Messages.TYPES.items()
        }
        for topic, now, number in rows(megabytes):
            message = messages.make(topic, now, number)
            data = messages.store.serialize_ros1(message, Messages.TYPES[topic])
            writer.write(connections[topic], now, data)
    return path


def write_ros1_lz4(path: Path, megabytes: float) -> Path:
    return write_ros1(path, megabytes, "LZ4")


def write_ros2(path: Path, megabytes: float) -> Path:
    from rosbags.rosbag2 import Writer

    messages = Messages("ros2_humble")
    with Writer(path, version=9) as writer:
        connections = {
            topic: writer.add_connection(topic, kind, typestore=messages.store)
            for topic, kind in Messages.TYPES.items()
        }
        for topic, now, number in rows(megabytes):
            message = messages.make(topic, now, number)
            data = messages.store.serialize_cdr(message, Messages.TYPES[topic])
            writer.write(connections[topic], now, data)
    return path


def write_mcap(path: Path, megabytes: float) -> Path:
    """MCAP of ROS 2 messages in zstd chunks, as ROS 2's recorder writes it."""
    from mcap.writer import Writer

    messages = Messages("ros2_humble")
    with open(path, "wb") as file:
        writer = Writer(file)
        writer.start(profile="ros2")
        channels = {}
        for topic, kind in Messages.TYPES.items():
            text, _ = messages.store.generate_msgdef(kind, ros_version=2)
            schema = writer.register_schema(kind, "ros2msg", text.encode())
            channels[topic] = writer.register_channel(topic, "cdr", schema)
        for topic, now, number in rows(megabytes):
            message = messages.make(topic, now, number)
            data = messages.store.serialize_cdr(message, Messages.TYPES[topic])
            writer.add_message(channels[topic], now, bytes(data), now)
        writer.finish()
    return path


def write_mcap_json(path: Path, megabytes: float) -> Path:
    """MCAP of JSON messages: numbers only, for JSON has no bytes.

    A fifth of the size, since each byte takes so much longer.
    """
    from mcap.writer import Writer

    with open(path, "wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema("joints", "jsonschema", b"{}")
        channel = writer.register_channel("/joints", "json", schema)
        for number in range(int(megabytes / 5 * 1e6 / 190)):
            q = [number + k + 0.5 for k in range(7)]
            data = json.dumps({"position": q, "velocity": q}).encode()
            episodes = number // (EPISODE_SECONDS * JOINT_HZ)
            now = T0 + number * (SECOND // JOINT_HZ)
            now += episodes * SILENCE_SECONDS * SECOND
            writer.add_message(channel, now, data, now)
        writer.finish()
    return path
