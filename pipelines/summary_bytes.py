"""Summaries as bytes, read without believing any length in them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import datasketches
import numpy as np

from thresher.pipelines.summary import MAX_SKETCHED_WIDTH, Summary

_OTHER = (
    "a summary of other features than the spec has, or from before summaries had this "
    "format: then build the version again"
)
_LENGTH = struct.Struct("<I")
# More values than there are in all logs of the world; sums of these stay exact.
_MOST_VALUES = 1 << 50


def pack(summary: Summary) -> bytes:
    """Returns a summary as bytes."""
    kept = [len(values) for values in summary.values]
    heads = np.array([summary.counts, summary.widths, kept], "<u8")
    parts = [heads.tobytes(), summary.moments.astype("<f8").tobytes()]
    parts += [values.astype("<f4").tobytes() for values in summary.values]
    for sketches in summary.sketches:
        parts.append(_LENGTH.pack(len(sketches)))
        for sketch in sketches:
            data = sketch.serialize()
            parts += [_LENGTH.pack(len(data)), data]
    return b"".join(parts)


def unpack(data: bytes, widths: Sequence[int]) -> Summary:
    """Reads what `pack` returned.

    Args:
      data: The bytes.
      widths: Entries of the features that were summarised.

    Raises:
      ValueError: The bytes are of other features, or cut off.
    """
    reader = _Reader(data)
    heads = reader.array("<u8", 3, len(widths)).astype(np.int64)
    counts, found, kept = heads
    if found.tolist() != list(widths) or (kept < 0).any():
        raise ValueError(_OTHER)
    if (counts < 1).any() or (counts > _MOST_VALUES).any():
        raise ValueError("a summary of no values, or of more than there can be")
    moments = reader.array("<f8", 4, sum(widths))
    values = tuple(
        reader.array("<f4", rows, width) for rows, width in zip(kept.tolist(), widths)
    )
    sketches = tuple(reader.sketches() for _ in widths)
    for width, few, many in zip(widths, values, sketches):
        is_told = len(few) > 0 or len(many) == width
        if not is_told and width <= MAX_SKETCHED_WIDTH:
            raise ValueError("a summary without what quantiles are taken from")
    if reader.position != len(data):
        raise ValueError(_OTHER)
    return Summary(counts, found, moments, values, sketches)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def array(self, dtype: str, rows: int, columns: int) -> np.ndarray:
        start = self.position
        count = rows * columns
        self._pass(count * int(dtype[-1]))
        flat = np.frombuffer(self._data, dtype, count, start)
        return flat.reshape(rows, columns)

    def sketches(self) -> tuple[Any, ...]:
        return tuple(self._sketch() for _ in range(self._number()))

    def _sketch(self) -> Any:
        length = self._number()
        self._pass(length)
        data = self._data[self.position - length : self.position]
        try:
            return datasketches.tdigest_float.deserialize(data)
        # Bytes that are no sketch make the library raise whatever its C++ meets.
        except Exception as error:
            raise ValueError(f"a summary with a broken sketch ({error})") from error

    def _number(self) -> int:
        self._pass(4)
        return int(_LENGTH.unpack_from(self._data, self.position - 4)[0])

    def _pass(self, count: int) -> None:
        if self.position + count > len(self._data):
            raise ValueError("a summary that is cut off")
        self.position += count
