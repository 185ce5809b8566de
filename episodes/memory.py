"""Memory that is let go of goes back to the system, in processes that must not grow."""

from __future__ import annotations

import ctypes

import pyarrow as pa

# M_MMAP_THRESHOLD of glibc's malloc.h.
_THRESHOLD = -3
# Columns of some thousand rows are larger, an episode's small objects are not.
_LARGE_BYTES = 64 << 10


def map_large_blocks() -> bool:
    """From here on, this process maps large blocks each on its own.

    Such a block goes back when it is freed. glibc raises its threshold with the blocks
    that it sees, up to 32 MiB; what is below comes from the heap, which only shrinks
    from its end: tables that come and go leave it full of holes. A process that works
    on pictures is better off with its heap.

    Returns:
      Whether the C library is one that can be told.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_THRESHOLD, _LARGE_BYTES))


def release_memory() -> None:
    """Gives memory back that tables took: the allocator would keep it for the next."""
    pa.default_memory_pool().release_unused()
