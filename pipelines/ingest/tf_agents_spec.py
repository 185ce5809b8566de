"""The `.spec` beside a TF-Agents TFRecord: what each entry of its records is.

Source: TF-Agents' `utils/example_encoding_dataset.py` and `example_encoding.py`: a
`StructuredValue` in one record; entries are named by the path in it; float32 and int64
are lists, anything else raw bytes, little-endian.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from thresher.episodes.example_wire import FeatureBytes
from thresher.episodes.spec import Column
from thresher.episodes.tfrecord import records
from thresher.pipelines.ingest.picture_columns import encoded_column, encoding_of

SUFFIX = ".spec"
_DEEPEST = 32
_LARGEST_SPEC = 16 << 20
_DTYPES = {
    "DT_HALF": "float16",
    "DT_FLOAT": "float32",
    "DT_DOUBLE": "float64",
    "DT_UINT8": "uint8",
    "DT_INT8": "int8",
    "DT_UINT16": "uint16",
    "DT_INT16": "int16",
    "DT_INT32": "int32",
    "DT_INT64": "int64",
}


@dataclasses.dataclass(frozen=True)
class Entry:
    """One array of a record.

    Attributes:
      path: 'time_step/observation'.
      dtype: NumPy's name of its type.
      shape: Of the value.
    """

    path: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Of one value."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


def read_spec(path: Path) -> tuple[str, dict[str, Entry]]:
    """Returns the outer tuple's name ('Transition', 'Trajectory') and the entries.

    Raises:
      ValueError: It is no such file, or has a type that TF-Agents does not write.
    """
    from tensorflow.core.framework import types_pb2
    from tensorflow.core.protobuf import struct_pb2

    if path.stat().st_size > _LARGEST_SPEC:
        raise ValueError(f"{path.name} is no spec: it has {path.stat().st_size} bytes")
    _, record = next(records(path))
    value = struct_pb2.StructuredValue.FromString(record)
    found = {}
    for name, tensor in _tensors(value, "", 0):
        kind = types_pb2.DataType.Name(tensor.dtype)
        if kind not in _DTYPES:
            raise ValueError(
                f"{name} is of type {kind}, which TF-Agents does not write"
            )
        shape = tuple(int(dim.size) for dim in tensor.shape.dim)
        if any(size <= 0 for size in shape):
            raise ValueError(f"{name} has the shape {list(shape)}")
        found[name] = Entry(name, _DTYPES[kind], shape)
    return str(value.named_tuple_value.name), found


def _tensors(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _DEEPEST:
        raise ValueError(f"the spec nests deeper than {_DEEPEST} at {path}")
    kind = value.WhichOneof("kind")
    inner = getattr(value, kind) if kind else None
    if kind in ("tensor_spec_value", "bounded_tensor_spec_value"):
        yield path, inner
    elif kind in ("list_value", "tuple_value"):
        for number, item in enumerate(inner.values):
            yield from _tensors(item, _below(path, str(number)), depth + 1)
    elif kind == "dict_value":
        for name in sorted(inner.fields):
            yield from _tensors(inner.fields[name], _below(path, name), depth + 1)
    elif kind == "named_tuple_value":
        for pair in inner.values:
            yield from _tensors(pair.value, _below(path, pair.key), depth + 1)
    elif kind not in (None, "none_value"):
        raise ValueError(f"the spec holds a {kind} at {path or 'its root'}")


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def decode_column(entry: Entry, values: list[FeatureBytes]) -> Column:
    """Returns one entry of many records: [N, *shape], or N encoded images.

    Raises:
      ValueError: A record has another size than the spec says.
    """
    if entry.dtype in ("float32", "int64"):
        rows = [v.as_floats() if v.kind == "float" else v.as_ints() for v in values]
        kinds = {"float32": ("float", ""), "int64": ("int", "")}[entry.dtype]
        if any(value.kind not in kinds for value in values):
            raise ValueError(f"{entry.path} holds no {entry.dtype}")
        return _stacked(entry, rows)
    blocks = [b"".join(value.as_bytes()) for value in values]
    # TF-Agents keeps pictures as JPEG files under the same spec if asked to.
    is_picture = entry.dtype == "uint8" and len(entry.shape) == 3 and blocks
    if is_picture and len(blocks[0]) != entry.size_bytes and encoding_of(blocks[0]):
        return encoded_column(blocks)
    little = np.dtype(entry.dtype).newbyteorder("<")
    for row, block in enumerate(blocks):
        if len(block) != entry.size_bytes:
            raise ValueError(
                f"{entry.path} has {len(block)} bytes in record {row} of the segment, "
                f"the spec says {entry.size_bytes}"
            )
    flat = np.frombuffer(b"".join(blocks), little).astype(entry.dtype)
    return flat.reshape(len(blocks), *entry.shape)


def _stacked(entry: Entry, rows: list[np.ndarray]) -> np.ndarray:
    wanted = int(np.prod(entry.shape, dtype=np.int64))
    for row, values in enumerate(rows):
        if values.size != wanted:
            raise ValueError(
                f"{entry.path} has {values.size} numbers in record {row} of the "
                f"segment, the spec says {wanted}"
            )
    flat = np.concatenate(rows) if rows else np.zeros(0)
    return flat.astype(entry.dtype, copy=False).reshape(len(rows), *entry.shape)
