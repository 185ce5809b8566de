"""The protobuf messages of a raw log, derived from an episode spec.

One `thresher.Step` a step holds every feature but images; each image is a
`foxglove.CompressedImage` of its own, which log viewers show as a picture.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    timestamp_pb2,
)

from thresher.episodes.spec import EpisodeSpec, FeatureSpec

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "float32": _Field.TYPE_FLOAT,
    "float64": _Field.TYPE_DOUBLE,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "bool": _Field.TYPE_BOOL,
    "str": _Field.TYPE_STRING,
    "uint8": _Field.TYPE_BYTES,
}
STEP_SCHEMA = "thresher.Step"
IMAGE_SCHEMA = "foxglove.CompressedImage"


def field_name(feature: FeatureSpec) -> str:
    """Returns the protobuf field of a feature: 'observation__gripper_height'."""
    return feature.name.replace("/", "__")


class StepMessage:
    """Writes and reads the numbers of one step.

    Attributes:
      features: The features it holds, in field order.
      schema: Serialised FileDescriptorSet, for the log's schema record.
    """

    def __init__(self, spec: EpisodeSpec) -> None:
        self.features = tuple(f for f in spec.all_features if not f.is_image)
        file = descriptor_pb2.FileDescriptorProto(
            name="thresher/step.proto", package="thresher", syntax="proto3"
        )
        message = file.message_type.add(name="Step")
        for number, feature in enumerate(self.features, start=1):
            message.field.add(
                name=field_name(feature),
                number=number,
                type=_TYPES[feature.dtype],
                label=_Field.LABEL_OPTIONAL
                if _is_single(feature)
                else _Field.LABEL_REPEATED,
            )
        self._fields = tuple((f, field_name(f)) for f in self.features)
        self._class, self.schema = _compile(file, STEP_SCHEMA)

    def encode(self, values: dict[str, Any]) -> bytes:
        """Returns the message of one step's values, by feature name."""
        message = self._class()
        for feature, field in self._fields:
            value = values[feature.name]
            if feature.dtype == "uint8":
                setattr(message, field, np.asarray(value).tobytes())
            elif not feature.shape:
                scalar = value if feature.dtype == "str" else value.item()
                setattr(message, field, scalar)
            else:
                getattr(message, field).extend(np.asarray(value).reshape(-1).tolist())
        return message.SerializeToString(deterministic=True)

    def decode(self, messages: list[bytes]) -> dict[str, np.ndarray]:
        """Returns a column [N, *shape] of every feature from N steps' messages."""
        parsed = [self._class.FromString(message) for message in messages]
        return {
            feature.name: _column(feature, [getattr(step, field) for step in parsed])
            for feature, field in self._fields
        }


class ImageMessage:
    """Writes and reads one camera frame as foxglove.CompressedImage."""

    def __init__(self) -> None:
        self._class, self.schema = _image_message()

    def encode(self, frame: bytes, encoding: str, name: str, time_ns: int) -> bytes:
        """Returns the message of an image file."""
        message = self._class(data=frame, format=encoding, frame_id=name)
        message.timestamp.seconds, message.timestamp.nanos = divmod(time_ns, 10**9)
        return message.SerializeToString(deterministic=True)

    def decode(self, message: bytes) -> bytes:
        """Returns the image file's bytes."""
        return self._class.FromString(message).data


def _is_single(feature: FeatureSpec) -> bool:
    return not feature.shape or feature.dtype == "uint8"


def _column(feature: FeatureSpec, values: list[Any]) -> np.ndarray:
    shape = (len(values), *feature.shape)
    if feature.dtype == "uint8":
        flat = np.frombuffer(b"".join(values), dtype=np.uint8)
        return flat.reshape(shape).copy()
    if feature.dtype == "str":
        column = np.empty(shape, dtype=object)
        column.reshape(len(values), -1)[:] = [
            [value] if not feature.shape else list(value) for value in values
        ]
        return column
    rows = values if not feature.shape else [list(value) for value in values]
    return np.array(rows, dtype=feature.dtype).reshape(shape)


@functools.lru_cache(maxsize=1)
def _image_message() -> tuple[Any, bytes]:
    file = descriptor_pb2.FileDescriptorProto(
        name="foxglove/CompressedImage.proto",
        package="foxglove",
        syntax="proto3",
        dependency=["google/protobuf/timestamp.proto"],
    )
    message = file.message_type.add(name="CompressedImage")
    single = _Field.LABEL_OPTIONAL
    message.field.add(
        name="timestamp",
        number=1,
        type=_Field.TYPE_MESSAGE,
        type_name=".google.protobuf.Timestamp",
        label=single,
    )
    message.field.add(name="data", number=2, type=_Field.TYPE_BYTES, label=single)
    message.field.add(name="format", number=3, type=_Field.TYPE_STRING, label=single)
    message.field.add(name="frame_id", number=4, type=_Field.TYPE_STRING, label=single)
    return _compile(file, IMAGE_SCHEMA)


def _compile(file: descriptor_pb2.FileDescriptorProto, name: str) -> tuple[Any, bytes]:
    """Returns the message class and its FileDescriptorSet."""
    # A pool of its own: two specs may both define thresher.Step in one process.
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet()
    if file.dependency:
        time_file = descriptor_pb2.FileDescriptorProto()
        timestamp_pb2.DESCRIPTOR.CopyToProto(time_file)
        pool.Add(time_file)
        files.file.append(time_file)
    pool.Add(file)
    files.file.append(file)
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
    return message, files.SerializeToString(deterministic=True)
