"""Summaries as bytes, read without believing any length in them."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Sequence
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
    # Signed, so that what counts wrongly beyond 2**63 is below nothing.
    counts, found, kept = reader.array("<i8", 3, len(widths))
    wanted = np.array(widths, np.int64)
    if not np.array_equal(found, wanted) or (kept < 0).any():
        raise ValueError(_OTHER)
    if (counts < 1).any() or (counts > _MOST_VALUES).any():
        raise ValueError("a summary of no values, or of more than there can be")
    moments = reader.array("<f8", 4, sum(widths))
    values = reader.tables(kept.tolist(), widths)
    sketches = tuple(reader.all_sketches(len(widths)))
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

    def tables(
        self, rows: Sequence[int], columns: Sequence[int]
    ) -> tuple[np.ndarray, ...]:
        """Reads tables of float32, one after the other."""
        sizes = [few * width for few, width in zip(rows, columns)]
        flat = self.array("<f4", 1, sum(sizes))[0]
        stops = itertools.accumulate(sizes)
        return tuple(
            flat[stop - size : stop].reshape(few, width)
            for few, width, size, stop in zip(rows, columns, sizes, stops)
        )

    def all_sketches(self, features: int) -> Iterator[tuple[Any, ...]]:
        if self._data[self.position :] == bytes(_LENGTH.size * features):
            # None at all, as for every short episode.
            self.position = len(self._data)
            yield from itertools.repeat((), features)
            return
        for _ in range(features):
            yield tuple(self._sketch() for _ in range(self._number()))

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
