"""Memory that is let go of goes back to the system, in processes that must not grow."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

# M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h.
_TRIM, _MAP = -1, -3
# Columns of some thousand rows are larger, an episode's small objects are not.
_LARGE_BYTES = 64 << 10
# What glibc comes to by itself, at most: twice as much is kept at the heap's end.
_LARGEST_BYTES = 32 << 20


class _Allocator:
    """The C library's, as far as it can be told anything."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._mallopt: Any = getattr(library, "mallopt", None)
        self._trim: Any = getattr(library, "malloc_trim", None)
        self.is_mapping = False

    def map_from(self, least_bytes: int) -> bool:
        """Maps blocks of so many bytes each on its own; returns whether it does."""
        if self._mallopt is None:
            return False
        trim = 2 * least_bytes
        self.is_mapping = bool(
            self._mallopt(_MAP, least_bytes) and self._mallopt(_TRIM, trim)
        )
        return self.is_mapping

    def give_back(self) -> None:
        """Gives the system every page of the heap on which nothing is."""
        if self._trim is not None:
            self._trim(0)


@functools.cache
def _allocator() -> _Allocator:
    return _Allocator()


def map_large_blocks() -> bool:
    """From here on, this process maps large blocks each on its own.

    Such a block goes back when it is freed. glibc raises its threshold with the blocks
    that it sees, up to 32 MiB; what is below comes from the heap, which only shrinks
    from its end: tables that come and go leave it full of holes.

    Returns:
      Whether the C library is one that can be told.
    """
    return _allocator().map_from(_LARGE_BYTES)


@contextmanager
def reusing_blocks() -> Iterator[None]:
    """For a while, a process that maps large blocks takes them from its heap.

    Work on pictures needs a block like the last one at once, and the system clears each
    page that it gives: mapped, an episode of some megabytes takes twice as long. What
    the heap then holds goes back at the end.
    """
    was_mapping = _allocator().is_mapping
    if was_mapping:
        _allocator().map_from(_LARGEST_BYTES)
    try:
        yield
    finally:
        if was_mapping:
            _allocator().map_from(_LARGE_BYTES)
            _allocator().give_back()


def release_memory() -> None:
    """Gives memory back that tables took: the allocator would keep it for the next."""
    pa.default_memory_pool().release_unused()
