"""What an image file says it is, and whether it is whole, without its pixels.

A PNG's chunks carry checksums, so a flipped bit is found at memory speed; a JPEG
carries none, so only its markers are followed. Sources: PNG specification (third
edition, sections 5 and 11); ITU-T T.81, annex B.
"""

from __future__ import annotations

import struct
import zlib

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNK = struct.Struct(">I4s")
_PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
_JPEG = b"\xff\xd8"
_JPEG_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_STANDALONE = {0x01, *range(0xD0, 0xD8)}
_START_OF_SCAN = 0xDA


def image_header(frame: bytes) -> tuple[str, tuple[int, int, int]]:
    """Returns ('png' or 'jpeg', (height, width, channels)) of an image file.

    Raises:
      ValueError: It is neither, is cut off, fails a checksum, or its values are not
        bytes.
    """
    if frame.startswith(_PNG):
        return "png", _png_size(frame)
    if frame.startswith(_JPEG):
        return "jpeg", _jpeg_size(frame)
    raise ValueError(f"it starts with {frame[:8]!r}" if frame else "it is empty")


def _png_size(frame: bytes) -> tuple[int, int, int]:
    size: tuple[int, int, int] | None = None
    position = len(_PNG)
    while position + 12 <= len(frame):
        length, kind = _PNG_CHUNK.unpack_from(frame, position)
        end = position + 8 + length
        if end + 4 > len(frame):
            break
        if zlib.crc32(frame[position + 4 : end]) != int.from_bytes(
            frame[end : end + 4], "big"
        ):
            raise ValueError(f"its {kind.decode('latin1')} chunk fails its checksum")
        if kind == b"IHDR":
            size = _png_header(frame[position + 8 : end])
        if kind == b"IEND":
            if size is None:
                raise ValueError("it has no header chunk")
            return size
        position = end + 4
    raise ValueError("it is cut off")


def _png_header(body: bytes) -> tuple[int, int, int]:
    width, height, depth, colour = struct.unpack_from(">IIBB", body)
    if depth != 8 or colour not in _PNG_CHANNELS:
        raise ValueError(f"its pixels are of {depth} bits and colour type {colour}")
    return height, width, _PNG_CHANNELS[colour]


def _jpeg_size(frame: bytes) -> tuple[int, int, int]:
    if b"\xff\xd9" not in frame[-64:]:
        raise ValueError("it is cut off")
    position = 2
    while position + 4 <= len(frame):
        if frame[position] != 0xFF:
            raise ValueError(f"there is no marker at byte {position}")
        marker = frame[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _JPEG_STANDALONE:
            position += 2
            continue
        if marker in _JPEG_SIZES and position + 10 <= len(frame):
            height, width, channels = struct.unpack_from(">HHB", frame, position + 5)
            return height, width, channels
        if marker == _START_OF_SCAN:
            break
        position += 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
    raise ValueError("it has no size")
