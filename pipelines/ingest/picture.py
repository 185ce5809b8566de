"""Encoded pictures, judged by their heads and brought to what a feature says."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from thresher.episodes.images import decode_image, encode_image

_CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# What Pillow raises for a file that is no picture, or says it is an endless one.
UNREADABLE = (
    UnidentifiedImageError,
    OSError,
    ValueError,
    SyntaxError,
    Image.DecompressionBombError,
)


_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


class PictureError(ValueError):
    """A picture that is not readable, or not what the feature says."""


def sniff(data: bytes) -> str:
    """Returns 'jpeg', 'png' or '' by the first bytes of a file."""
    if data[:3] == _JPEG:
        return "jpeg"
    return "png" if data[:8] == _PNG else ""


def picture_shape(data: bytes) -> tuple[int, int, int] | None:
    """Returns [H, W, C] by the file's head; None if that cannot be read.

    C is 0 where the pixels are neither 8-bit grey, RGB nor RGBA.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.height, image.width, _CHANNELS.get(image.mode, 0)
    except UNREADABLE:
        return None


def conform(
    data: bytes, encoding: str, shape: tuple[int, ...], *, resize: bool
) -> bytes:
    """Returns a picture as a feature wants it; the very bytes, if they are already.

    Args:
      data: A JPEG or PNG file.
      encoding: 'jpeg' or 'png'. JPEG to PNG keeps the decoded pixels; PNG to JPEG
        loses what JPEG loses.
      shape: [H, W, C].
      resize: Whether a picture of another size is scaled (area average); else it is
        refused.

    Raises:
      PictureError: It cannot be read, or has another shape.
    """
    found = picture_shape(data)
    if found is None:
        raise PictureError(f"is not a readable picture ({len(data)} bytes)")
    if found == tuple(shape) and sniff(data) == encoding:
        return data
    if found[:2] != tuple(shape[:2]) and not resize:
        raise PictureError(
            f"is {list(found)} where the mapping says {list(shape)}: write that shape, "
            "or resize: true"
        )
    if found[2] != shape[2] and found[2] and not resize:
        raise PictureError(
            f"has {found[2]} channels where the mapping says {shape[2]}: write shape: "
            f"{list(found)}"
        )
    return encode_image(_pixels(data, shape), encoding)


def _pixels(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    height, width, channels = shape
    try:
        if picture_shape(data) == tuple(shape):
            return decode_image(data)
        with Image.open(io.BytesIO(data)) as image:
            converted = image.convert(_MODES[channels])
            if converted.size != (width, height):
                converted = converted.resize((width, height), Image.Resampling.BOX)
            pixels = np.asarray(converted)
    except UNREADABLE as error:
        raise PictureError(f"cannot be read ({error})") from error
    return pixels[..., None] if pixels.ndim == 2 else pixels
