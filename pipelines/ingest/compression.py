"""Decompresses what a file declares, never more than it declares or we allow."""

from __future__ import annotations

import bz2
import io

# Recorders write chunks of about a megabyte; a file that says more than this would
# only fill the memory.
MAX_CHUNK_BYTES = 256 << 20
_READ = 1 << 20


class CompressionError(ValueError):
    """Compressed bytes that cannot be what they say."""


def decompress(data: bytes, kind: str, declared: int) -> bytes:
    """Returns the bytes of a compressed chunk.

    Args:
      data: As in the file.
      kind: '' or 'none', 'lz4', 'bz2' or 'zstd'.
      declared: How many bytes it says it holds.

    Raises:
      CompressionError: Another number of bytes, damage, or more than
        `MAX_CHUNK_BYTES`.
    """
    if declared > MAX_CHUNK_BYTES:
        raise CompressionError(
            f"says it holds {declared} bytes, more than the {MAX_CHUNK_BYTES} that are "
            "read at once; write the file anew in smaller chunks"
        )
    if kind in ("", "none"):
        content = data
    elif kind == "lz4":
        content = _lz4(data, declared)
    elif kind == "bz2":
        content = _bz2(data, declared)
    elif kind == "zstd":
        content = _zstd(data, declared)
    else:
        raise CompressionError(f"is compressed by {kind!r}, which is not known")
    if len(content) != declared:
        raise CompressionError(f"holds {len(content)} bytes and says {declared}")
    return content


def _lz4(data: bytes, declared: int) -> bytes:
    import lz4.frame

    try:
        return bytes(lz4.frame.LZ4FrameDecompressor().decompress(data, declared + 1))
    except (RuntimeError, EOFError, ValueError) as error:
        raise CompressionError(f"is not lz4 ({error})") from error


def _bz2(data: bytes, declared: int) -> bytes:
    try:
        return bz2.BZ2Decompressor().decompress(data, declared + 1)
    except (OSError, EOFError, ValueError) as error:
        raise CompressionError(f"is not bz2 ({error})") from error


def _zstd(data: bytes, declared: int) -> bytes:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    try:
        with decompressor.stream_reader(io.BytesIO(data)) as reader:
            content = reader.read(declared)
            # One more byte would be one too many, and reading it proves the end.
            return content + reader.read(1)
    except zstandard.ZstdError as error:
        raise CompressionError(f"is not zstd ({error})") from error
