"""Small sound logs of every kind, written by the formats' own libraries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter

from thresher.episodes.images import encode_image

SECOND = 10**9
# Where logs begin: some day in 2023.
T0 = 1_700_000_000 * SECOND

# A message: topic, seconds since T0, content.
Row = tuple[str, float, dict[str, Any]]


def at(seconds: float) -> int:
    return T0 + round(seconds * SECOND)


def picture(shade: int, height: int = 6, width: int = 8) -> np.ndarray:
    """Grey pixels with one that differs, so that frames do too."""
    pixels = np.full((height, width, 3), 100, np.uint8)
    pixels[shade % height, shade % width] = 200
    return pixels


def arm_rows(count: int = 11, period: float = 0.1, start: float = 0.0) -> list[Row]:
    """A state at every tenth of a second; the command on it comes 20 ms later."""
    rows: list[Row] = []
    for k in range(count):
        now = start + k * period
        rows.append(("/state", now, {"q": [float(k), -float(k)], "mode": "run"}))
        rows.append(("/command", now + 0.02, {"dq": 0.5 + k}))
    return rows


def write_json_mcap(
    path: Path,
    rows: Iterable[Row],
    *,
    compression: CompressionType = CompressionType.NONE,
    chunk_size: int = 400,
    chunked: bool = True,
    finish: bool = True,
    metadata: Mapping[str, Mapping[str, str]] = {},
) -> Path:
    """Writes JSON messages; small chunks, so that there are several."""
    with open(path, "wb") as file:
        writer = McapWriter(
            file,
            chunk_size=chunk_size,
            compression=compression,
            use_chunking=chunked,
        )
        writer.start(profile="", library="test")
        channels: dict[str, int] = {}
        for topic, seconds, content in rows:
            if topic not in channels:
                schema = writer.register_schema(
                    f"test{topic.replace('/', '.')}", "jsonschema", b"{}"
                )
                channels[topic] = writer.register_channel(topic, "json", schema)
            data = json.dumps(content).encode()
            writer.add_message(channels[topic], at(seconds), data, at(seconds))
        for name, entries in metadata.items():
            writer.add_metadata(name, dict(entries))
        if finish:
            writer.finish()
        else:
            # A recorder that is killed leaves whole chunks and no summary.
            file.flush()
    return path


def write_ros2_mcap(path: Path, rows: Iterable[tuple[str, float, str, Any]]) -> Path:
    """Writes ROS 2 messages: topic, seconds, one of `ROS2_TYPES`, content."""
    from mcap_ros2.writer import Writer

    with open(path, "wb") as file:
        writer = Writer(file, chunk_size=600)
        schemas = {k: writer.register_msgdef(k, text) for k, text in ROS2_TYPES.items()}
        for topic, seconds, kind, content in rows:
            writer.write_message(
                topic, schemas[kind], content, at(seconds), at(seconds)
            )
        writer.finish()
    return path


_BAR = "\n" + "=" * 80 + "\n"
_HEADER = (
    f"{_BAR}MSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id"
    f"{_BAR}MSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec"
)
ROS2_TYPES = {
    "my_robot/msg/Arm": "std_msgs/Header header\nfloat64[] q\nmy_robot/Tip tip"
    + _HEADER
    + f"{_BAR}MSG: my_robot/Tip\nfloat64 z\nfloat64 x",
    "std_msgs/msg/Empty": "",
    "sensor_msgs/msg/Image": "std_msgs/Header header\nuint32 height\nuint32 width\n"
    "string encoding\nuint8 is_bigendian\nuint32 step\nuint8[] data" + _HEADER,
    "sensor_msgs/msg/CompressedImage": "std_msgs/Header header\nstring format\n"
    "uint8[] data" + _HEADER,
}


def stamp(seconds: float) -> dict[str, Any]:
    sec, nanosec = divmod(at(seconds), SECOND)
    return {"stamp": {"sec": sec, "nanosec": nanosec}, "frame_id": "base"}


def arm_ros2_rows(count: int = 5) -> list[tuple[str, float, str, Any]]:
    """An arm of a type of its own, a raw camera and a compressed one."""
    rows: list[tuple[str, float, str, Any]] = []
    for k in range(count):
        now = 0.1 * k
        arm = {"header": stamp(now - 0.03), "q": [k, 2 * k], "tip": {"z": 3, "x": k}}
        rows.append(("/arm", now, "my_robot/msg/Arm", arm))
        pixels = picture(k)
        raw = {
            "header": stamp(now),
            "height": 6,
            "width": 8,
            "encoding": "bgr8",
            "step": 24,
            "data": pixels[..., ::-1].tobytes(),
        }
        rows.append(("/raw", now, "sensor_msgs/msg/Image", raw))
        packed = {
            "header": stamp(now),
            "format": "jpeg",
            "data": encode_image(pixels, "jpeg"),
        }
        rows.append(("/packed", now, "sensor_msgs/msg/CompressedImage", packed))
    return rows


def write_ros1_bag(
    path: Path,
    rows: Iterable[tuple[str, float, Any]],
    compression: str = "",
    chunk_bytes: int = 300,
) -> Path:
    """Writes std_msgs/Float64MultiArray (for lists) or std_msgs/String messages."""
    from rosbags.rosbag1 import Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC)
    writer = Writer(path)
    writer.chunk_threshold = chunk_bytes
    if compression:
        writer.set_compression(Writer.CompressionFormat[compression])
    with writer:
        connections: dict[str, Any] = {}
        for topic, seconds, content in rows:
            message, kind = ros_message(store, content)
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            data = store.serialize_ros1(message, kind)
            writer.write(connections[topic], at(seconds), data)
    return path


def write_ros2_bag(
    path: Path,
    rows: Iterable[tuple[str, float, Any]],
    *,
    storage: str = "SQLITE3",
    compression: str = "",
) -> Path:
    """Writes the same as `write_ros1_bag`, as a ROS 2 folder."""
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    with _ros2_writer(path, storage, compression) as writer:
        connections: dict[str, Any] = {}
        for topic, seconds, content in rows:
            message, kind = ros_message(store, content)
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            data = store.serialize_cdr(message, kind)
            writer.write(connections[topic], at(seconds), data)
    return path


def _ros2_writer(path: Path, storage: str, compression: str) -> Any:
    from rosbags import rosbag2

    # The last one for Python 3.9 writes SQLite alone, and keeps its names elsewhere.
    old = not hasattr(rosbag2, "StoragePlugin")
    names: Any = rosbag2.Writer if old else rosbag2
    if old:
        writer: Any = names(path)
    else:
        plugin = names.StoragePlugin[storage]
        writer = names.Writer(path, version=9, storage_plugin=plugin)
    if compression:
        mode = names.CompressionMode[compression]
        writer.set_compression(mode, names.CompressionFormat.ZSTD)
    return writer


def ros_message(store: Any, content: Any) -> tuple[Any, str]:
    if isinstance(content, str):
        kind = "std_msgs/msg/String"
        return store.types[kind](content), kind
    kind = "std_msgs/msg/Float64MultiArray"
    layout = store.types["std_msgs/msg/MultiArrayLayout"]([], 0)
    return store.types[kind](layout, np.array(content, float)), kind
