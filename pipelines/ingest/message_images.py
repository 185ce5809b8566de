"""Pictures inside messages: ROS and Foxglove images, raw and compressed.

What is JPEG or PNG already stays so, byte for byte. Raw pixels become PNG, which loses
nothing. Depth (16 bits, or floats) stays an array, for PNG files here hold 8 bits.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from thresher.episodes.errors import UserError
from thresher.episodes.images import encode_image
from thresher.pipelines.ingest.picture import UNREADABLE, sniff

# compressed_depth_image_transport writes three numbers before the PNG.
_DEPTH_HEAD = 12
# dtype, channels, and the order that makes them RGB(A) or grey.
_PIXELS: dict[str, tuple[str, int, tuple[int, ...]]] = {
    "rgb8": ("u1", 3, (0, 1, 2)),
    "bgr8": ("u1", 3, (2, 1, 0)),
    "8UC3": ("u1", 3, (0, 1, 2)),
    "rgba8": ("u1", 4, (0, 1, 2, 3)),
    "bgra8": ("u1", 4, (2, 1, 0, 3)),
    "8UC4": ("u1", 4, (0, 1, 2, 3)),
    "mono8": ("u1", 1, (0,)),
    "8UC1": ("u1", 1, (0,)),
    "mono16": ("u2", 1, (0,)),
    "16UC1": ("u2", 1, (0,)),
    "32FC1": ("f4", 1, (0,)),
}


class ImageValueError(ValueError):
    """A picture in a message that is not a readable one."""


def is_image(record: Any) -> bool:
    """Whether a message is a picture, by the parts it has."""
    has = record.__contains__ if isinstance(record, dict) else _attributes(record)
    if not has("data"):
        return False
    return bool(has("format") or (has("encoding") and has("width") and has("height")))


def _attributes(record: Any) -> Any:
    return lambda name: hasattr(record, name)


def image_of(record: Any) -> bytes | np.ndarray:
    """Returns a JPEG or PNG file, or depth as uint16 or float32 [H, W, 1].

    Raises:
      UserError: A kind of picture that is not read, with what to do.
      ImageValueError: This picture is damaged.
    """
    get = record.get if isinstance(record, dict) else _getter(record)
    data = _data(get("data"))
    if get("width") is None or get("encoding") is None:
        return _compressed(data, str(get("format")))
    return _raw(data, get)


def _getter(record: Any) -> Any:
    return lambda name: getattr(record, name, None)


def _data(data: Any) -> bytes:
    try:
        if isinstance(data, str):
            return base64.b64decode(data, validate=True)
        # bytes() of a number would be that many zeros.
        return bytes(memoryview(data) if not isinstance(data, list) else data)
    except (ValueError, TypeError) as error:
        kind = "base64" if isinstance(data, str) else "bytes"
        raise ImageValueError(f"its data is not {kind} ({error})") from error


def _compressed(data: bytes, declared: str) -> bytes | np.ndarray:
    if sniff(data):
        return data
    if "compresseddepth" in declared.lower() and sniff(data[_DEPTH_HEAD:]) == "png":
        return _depth(data[_DEPTH_HEAD:], declared)
    if any(
        codec in declared.lower() for codec in ("h264", "h265", "hevc", "av1", "vp9")
    ):
        raise UserError(
            f"pictures of format {declared!r} are frames of a film, which mean nothing "
            "alone; record the camera as JPEG or PNG, or give the film as a video file"
        )
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            pixels = np.asarray(image.convert("RGB"))
    except UNREADABLE as error:
        raise ImageValueError(
            f"a picture of format {declared!r} and {len(data)} bytes cannot be read "
            f"({error})"
        ) from error
    return encode_image(pixels, "png")


def _depth(png: bytes, declared: str) -> np.ndarray:
    if declared.startswith("32FC1"):
        raise UserError(
            f"depth of format {declared!r} is packed as inverse distances; record it "
            "as 16UC1, or uncompressed"
        )
    try:
        with Image.open(io.BytesIO(png)) as image:
            return np.asarray(image).astype(np.uint16)[..., None]
    except UNREADABLE as error:
        raise ImageValueError(f"a depth picture cannot be read ({error})") from error


def _raw(data: bytes, get: Any) -> bytes | np.ndarray:
    encoding = str(get("encoding"))
    if encoding not in _PIXELS:
        raise UserError(
            f"raw pictures of encoding {encoding!r} are not read (known: "
            f"{', '.join(_PIXELS)}); record the camera compressed, or turn it into rgb8"
        )
    dtype, channels, order = _PIXELS[encoding]
    try:
        height, width = int(get("height")), int(get("width"))
        row = width * channels * np.dtype(dtype).itemsize
        step = int(get("step") or row)
    except (TypeError, ValueError, OverflowError) as error:
        raise ImageValueError(f"a picture without a size ({error})") from error
    if height < 1 or width < 1 or step < row or len(data) < step * (height - 1) + row:
        raise ImageValueError(
            f"a picture says {height} × {width} {encoding} with {step} bytes a row and "
            f"holds {len(data)} bytes"
        )
    rows = np.frombuffer(data.ljust(step * height, b"\0"), np.uint8)[: step * height]
    order_of_bytes = ">" if get("is_bigendian") else "<"
    pixels = np.ascontiguousarray(rows.reshape(height, step)[:, :row])
    pixels = pixels.view(order_of_bytes + dtype).reshape(height, width, channels)
    if dtype != "u1":
        return pixels.astype(dtype)
    return encode_image(np.ascontiguousarray(pixels[..., list(order)]), "png")
