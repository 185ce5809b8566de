"""Damaged copies of a sound file, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)


def mutations(data: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    """Yields damaged copies without end: cut, flipped, overwritten, repeated, dropped.

    Args:
      data: A sound file's bytes.
      rng: Decides all.
    """
    kinds = (_cut, _flip, _overwrite, _splice, _huge_number)
    while True:
        damaged = kinds[int(rng.integers(len(kinds)))](bytearray(data), rng)
        if rng.random() < 0.3:
            damaged = _flip(damaged, rng)
        yield bytes(damaged)


def _cut(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: int(rng.integers(len(data) + 1))]


def _flip(data: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(int(rng.integers(1, 9)) if data else 0):
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return data


def _overwrite(data: bytearray, rng: np.random.Generator) -> bytearray:
    start = int(rng.integers(len(data)))
    for position in range(start, min(start + int(rng.integers(1, 17)), len(data))):
        data[position] = _INTERESTING[int(rng.integers(len(_INTERESTING)))]
    return data


def _splice(data: bytearray, rng: np.random.Generator) -> bytearray:
    start, other = (int(rng.integers(len(data))) for _ in range(2))
    length = int(rng.integers(1, 257))
    if rng.random() < 0.5:
        data[start:start] = data[other : other + length]
    else:
        del data[start : start + length]
    return data


def _huge_number(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Puts a length that no file has where one may stand."""
    width = int(rng.choice([4, 8]))
    start = int(rng.integers(max(len(data) - width, 1)))
    value = int(rng.choice([2**31 - 1, 2**32 - 1, 2**40, 10**9]))
    data[start : start + width] = (value % 2 ** (8 * width)).to_bytes(width, "little")
    return data
