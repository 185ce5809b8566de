"""Decoders of messages by the schemas that logs carry: ROS 1, ROS 2, protobuf, JSON.

ROS messages are decoded by rosbags whatever file they were in, so that a recording's
values do not depend on its container. A schema comes from the file and is not trusted:
declared sizes are checked before code is made of it.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Callable
from typing import Any

from thresher.episodes.errors import UserError, unknown_name
from thresher.pipelines.ingest.strict_json import parsed

Decoder = Callable[[bytes], Any]
# Schemas of real robots stay far below: these stop files that would fill the memory.
_MAX_SCHEMA_BYTES = 4 << 20
_MAX_FIXED_LENGTH = 100_000
_FIXED_LENGTH = re.compile(r"\[(?:<=)?\s*(\d+)\s*\]")
DISTROS = (
    *("dashing", "eloquent", "foxy", "galactic", "humble", "iron"),
    *("jazzy", "kilted", "lyrical"),
)
INSTALL = "install it with pip install 'thresher[logs]'"


class SchemaError(ValueError):
    """A schema, or the kind of one, from which no decoder can be made."""


class DecodeError(ValueError):
    """A message whose bytes are not what its schema says."""


def ros_decoder(
    type_name: str, definition: str, *, cdr: bool, idl: bool = False, distro: str = ""
) -> Decoder:
    """Returns the decoder of a ROS message.

    Args:
      type_name: 'sensor_msgs/Image' or 'sensor_msgs/msg/Image'.
      definition: The type and those it uses, as recorded; empty for the distro's own.
      cdr: Whether messages are serialised as in ROS 2 rather than ROS 1.
      idl: Whether the definition is written in IDL.
      distro: ROS 2 distribution that knows the type, where no definition is recorded.

    Raises:
      UserError: rosbags is missing, or neither definition nor distro is there.
      SchemaError: The definition cannot be used.
    """
    _, msg = _rosbags()
    name = msg.normalize_msgtype(type_name)
    if definition:
        store = _store_of(name, definition, idl)
    else:
        store = _store_of_distro(name, distro)
    return _ros_decoder(store, name, cdr)


def _rosbags() -> tuple[Any, Any]:
    try:
        from rosbags import typesys
        from rosbags.typesys import msg
    except ImportError as error:
        raise UserError(f"ROS messages need the package rosbags; {INSTALL}") from error
    return typesys, msg


# Making a decoder takes tens of milliseconds, and the files of a fleet share types.
@functools.lru_cache(maxsize=128)
def _store_of(name: str, definition: str, idl: bool) -> Any:
    typesys, _ = _rosbags()
    _check_definition(name, definition)
    try:
        types = (
            _types_of_idl(typesys, definition)
            if idl
            else typesys.get_types_from_msg(definition, name)
        )
        # A store for each type: one log may hold two definitions under one name.
        store = typesys.get_typestore(typesys.Stores.EMPTY)
        store.register(types)
        store.get_msgdef(name)
    # A definition that parses can still be no program: what it leads to is not ours.
    except Exception as error:
        raise SchemaError(
            f"the definition of {name} cannot be used ({type(error).__name__}: {error})"
        ) from error
    return store


def _types_of_idl(typesys: Any, definition: str) -> dict[str, Any]:
    types: dict[str, Any] = {}
    for part in re.split(r"^={3,}$\n?", definition, flags=re.MULTILINE):
        text = re.sub(r"\AIDL: \S+\n", "", part.lstrip("\n"))
        if text.strip():
            types.update(typesys.get_types_from_idl(text))
    return types


def _check_definition(name: str, definition: str) -> None:
    if len(definition) > _MAX_SCHEMA_BYTES:
        raise SchemaError(f"the definition of {name} has {len(definition)} bytes")
    longest = max((int(n) for n in _FIXED_LENGTH.findall(definition)), default=0)
    if longest > _MAX_FIXED_LENGTH:
        raise SchemaError(f"the definition of {name} has an array of {longest} entries")


def _store_of_distro(name: str, distro: str) -> Any:
    typesys, _ = _rosbags()
    if not distro:
        raise UserError(
            f"the recording does not say what a {name} is: name the ROS 2 distribution "
            "that recorded it, with --option ros_distro=humble or, in a mapping, "
            "source: {options: {ros_distro: humble}}"
        )
    if distro not in DISTROS:
        raise unknown_name("ROS 2 distribution", distro, DISTROS)
    store = typesys.get_typestore(typesys.Stores(f"ros2_{distro}"))
    if name not in store.types:
        raise SchemaError(
            f"ROS 2 {distro} has no type {name}: messages of your own must be recorded "
            "with their definitions (MCAP does so)"
        )
    return store


def _ros_decoder(store: Any, name: str, cdr: bool) -> Decoder:
    from rosbags.serde import SerdeError

    read = store.deserialize_cdr if cdr else store.deserialize_ros1

    def decode(data: bytes) -> Any:
        try:
            return read(data, name)
        # How releases of rosbags for Python 3.9 say it.
        except AssertionError as error:
            raise DecodeError("size mismatch: bytes are left over") from error
        except (SerdeError, struct.error, ValueError, IndexError, TypeError) as error:
            raise DecodeError(str(error)) from error

    return decode


def protobuf_decoder(type_name: str, descriptors: bytes) -> Decoder:
    """Returns the decoder of a protobuf message.

    Args:
      type_name: 'foxglove.CompressedImage'.
      descriptors: A serialised FileDescriptorSet.

    Raises:
      SchemaError: The descriptors do not make such a message.
    """
    from google.protobuf.message import DecodeError as ProtobufError
    from mcap.records import Schema
    from mcap_protobuf.decoder import DecoderFactory

    if len(descriptors) > _MAX_SCHEMA_BYTES:
        raise SchemaError(f"the schema of {type_name} has {len(descriptors)} bytes")
    schema = Schema(id=1, name=type_name, encoding="protobuf", data=descriptors)
    try:
        parse = DecoderFactory().decoder_for("protobuf", schema)
    # Descriptors from a damaged file break protobuf in many ways.
    except Exception as error:
        raise SchemaError(
            f"the schema of {type_name} cannot be used "
            f"({type(error).__name__}: {error})"
        ) from error
    assert parse is not None

    def decode(data: bytes) -> Any:
        try:
            return parse(data)
        except ProtobufError as error:
            raise DecodeError(str(error)) from error

    return decode


def json_decoder() -> Decoder:
    """Returns the decoder of JSON messages: objects only."""

    def decode(data: bytes) -> Any:
        try:
            message = parsed(data)
        except (ValueError, RecursionError) as error:
            raise DecodeError(f"not JSON ({error})") from error
        if not isinstance(message, dict):
            raise DecodeError(f"JSON of {type(message).__name__}, not an object")
        return message

    return decode
