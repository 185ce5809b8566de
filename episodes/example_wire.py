"""`tf.train.Example` as bytes, written and read without TensorFlow.

Source: the protocol buffer encoding and example.proto and feature.proto of TensorFlow.
Numbers go to and from NumPy arrays as whole blocks, so a record costs microseconds and
a worker needs no TensorFlow. Maps are written with sorted keys: the same values always
give the same bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

# (field number << 3) | wire type 2: length-delimited.
_FIELD_1, _FIELD_2, _FIELD_3 = b"\x0a", b"\x12", b"\x1a"
_DELIMITED = 2
_MOST_VARINT_BYTES = 10
_KINDS = {1: "bytes", 2: "float", 3: "int"}


def bytes_feature(values: Iterable[bytes]) -> bytes:
    """Returns the encoded Feature of a list of byte strings."""
    parts: list[bytes] = []
    for value in values:
        parts += (_FIELD_1, _varint(len(value)), value)
    return _delimited(_FIELD_1, b"".join(parts))


def float_feature(values: np.ndarray) -> bytes:
    """Returns the encoded Feature of float32 [N]."""
    packed = np.ascontiguousarray(values, dtype="<f4").tobytes()
    return _delimited(_FIELD_2, _delimited(_FIELD_1, packed) if packed else b"")


def int_feature(values: np.ndarray) -> bytes:
    """Returns the encoded Feature of int64 [N]."""
    packed = _varints(np.asarray(values, dtype=np.int64))
    return _delimited(_FIELD_3, _delimited(_FIELD_1, packed) if packed else b"")


def encode_example(features: Mapping[str, bytes]) -> bytes:
    """Returns the Example of encoded Features by name."""
    entries = []
    for name in sorted(features):
        entry = _delimited(_FIELD_1, name.encode())
        entry += _delimited(_FIELD_2, features[name])
        entries.append(_delimited(_FIELD_1, entry))
    return _delimited(_FIELD_1, b"".join(entries))


@dataclasses.dataclass(frozen=True)
class FeatureBytes:
    """One Feature of an Example, its values not yet looked at.

    Attributes:
      kind: 'bytes', 'float' or 'int'; empty for a Feature that holds nothing.
      body: The encoded list.
    """

    kind: str
    body: memoryview

    def as_bytes(self) -> list[bytes]:
        """Returns the byte strings; raises ValueError for values of another kind."""
        self._require("bytes")
        return [bytes(value) for number, value in _fields(self.body) if number == 1]

    def as_floats(self) -> np.ndarray:
        """Returns float32 [N]; raises ValueError for values of another kind."""
        self._require("float")
        blocks = [value for number, value in _fields(self.body) if number == 1]
        return np.frombuffer(b"".join(blocks), dtype="<f4").copy()

    def as_ints(self) -> np.ndarray:
        """Returns int64 [N]; raises ValueError for values of another kind."""
        self._require("int")
        blocks = [value for number, value in _fields(self.body) if number == 1]
        return _read_varints(np.frombuffer(b"".join(blocks), dtype=np.uint8))

    def _require(self, kind: str) -> None:
        if self.kind not in ("", kind):
            raise ValueError(f"holds {self.kind} values, not {kind}")


def parse_example(record: bytes) -> dict[str, FeatureBytes]:
    """Returns the Features of an Example by name.

    Raises:
      ValueError: The bytes are no Example; no length in them is trusted.
    """
    found: dict[str, FeatureBytes] = {}
    for number, features in _fields(memoryview(record)):
        if number != 1:
            continue
        for entry_number, entry in _fields(features):
            if entry_number == 1:
                name, value = _entry(entry)
                found[name] = value
    return found


def _entry(entry: memoryview) -> tuple[str, FeatureBytes]:
    name, feature = "", memoryview(b"")
    for number, value in _fields(entry):
        if number == 1:
            name = bytes(value).decode()
        elif number == 2:
            feature = value
    kind, body = "", memoryview(b"")
    for number, value in _fields(feature):
        kind, body = _KINDS.get(number, ""), value
    return name, FeatureBytes(kind, body)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yields (field number, content) of a message of length-delimited fields."""
    position, size = 0, len(message)
    while position < size:
        tag, position = _read_varint(message, position)
        if tag & 7 != _DELIMITED:
            raise ValueError(f"wire type {tag & 7} at byte {position}")
        length, position = _read_varint(message, position)
        if length > size - position:
            raise ValueError(
                f"a length of {length} at byte {position} of a message of {size} bytes"
            )
        yield tag >> 3, message[position : position + length]
        position += length


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    if position < len(message) and message[position] < 0x80:
        return message[position], position + 1
    value = shift = 0
    for byte in message[position : position + _MOST_VARINT_BYTES]:
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError(f"a number without an end at byte {position}")


def _delimited(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


_SHORT_VARINTS = tuple(bytes((value,)) for value in range(0x80))


def _varint(value: int) -> bytes:
    if value < 0x80:
        return _SHORT_VARINTS[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varints(values: np.ndarray) -> bytes:
    """Returns int64 [N] as varints, negative ones in ten bytes as the format has it."""
    wide = values.astype(np.uint64) if values.dtype != np.int64 else values.view("u8")
    if not wide.size:
        return b""
    if int(wide.max()) < 0x80:
        return wide.astype(np.uint8).tobytes()
    shifts = np.arange(_MOST_VARINT_BYTES, dtype=np.uint64) * np.uint64(7)
    groups = (wide[:, None] >> shifts).astype(np.uint64)
    used = np.maximum((groups > 0).sum(axis=1), 1)
    column = np.arange(_MOST_VARINT_BYTES)
    octets = (groups & np.uint64(0x7F)).astype(np.uint8)
    octets[column < (used - 1)[:, None]] |= 0x80
    return octets[column < used[:, None]].tobytes()


def _read_varints(octets: np.ndarray) -> np.ndarray:
    if not octets.size:
        return np.zeros(0, np.int64)
    ends = np.flatnonzero(octets < 0x80)
    if len(ends) == len(octets):
        return octets.astype(np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if not len(ends) or ends[-1] != len(octets) - 1 or lengths.max() > 10:
        raise ValueError("a list of numbers without an end")
    within = np.arange(len(octets)) - np.repeat(starts, lengths)
    parts = (octets & 0x7F).astype(np.uint64) << (within * 7).astype(np.uint64)
    return np.add.reduceat(parts, starts).view(np.int64)
