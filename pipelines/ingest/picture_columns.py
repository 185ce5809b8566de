"""Pictures of a table: pixels are encoded on the way in, image files pass through."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Optional

import numpy as np

from thresher.episodes.errors import unknown_name
from thresher.episodes.images import EncodedImages, encode_image
from thresher.episodes.spec import Column
from thresher.pipelines.ingest.table_rules import Budget

OPTION = "images"
# PNG keeps every pixel as recorded, so it is what happens unless asked otherwise.
CHOICES = ("png", "jpeg", "raw")
_MAGIC = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}
_ENDS = {"png": b"IEND\xaeB`\x82", "jpeg": b"\xff\xd9"}
# A camera with a side above this is a broken header.
_MOST_PIXELS = 64 << 20


@dataclasses.dataclass(frozen=True)
class PictureOption:
    """How raw pixels are kept.

    Attributes:
      encoding: 'png' (every pixel as recorded), 'jpeg' (quality 95) or 'raw'.
    """

    encoding: str = "png"

    @classmethod
    def of(cls, options: Mapping[str, str]) -> PictureOption:
        """Reads the option `images`; raises UserError for an unknown choice."""
        choice = options.get(OPTION, CHOICES[0])
        if choice not in CHOICES:
            raise unknown_name(f"choice of option {OPTION}", choice, CHOICES)
        return cls(choice)

    def keep(self, frames: Iterator[np.ndarray], budget: Budget, field: str) -> Column:
        """Returns frames uint8 [H, W, C] as encoded images or one array [N, H, W, C].

        Holds one decoded frame at a time, unless they are kept raw.
        """
        if self.encoding == "raw":
            pixels = []
            for frame in frames:
                budget.spend(frame.nbytes, field)
                pixels.append(frame)
            return np.stack(pixels) if pixels else np.zeros((0, 0, 0, 3), np.uint8)
        encoded = []
        for frame in frames:
            encoded.append(encode_image(frame, self.encoding))
            budget.spend(len(encoded[-1]), field)
        return EncodedImages(tuple(encoded), self.encoding)


def looks_like_pixels(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Whether rows of a uint8 array are pictures [H, W, C]."""
    return (
        dtype == np.uint8
        and len(shape) == 4
        and shape[-1] in (1, 3, 4)
        and 0 < shape[1] * shape[2] <= _MOST_PIXELS
    )


def encoding_of(frame: bytes) -> Optional[str]:
    """Returns 'png' or 'jpeg' by a file's first bytes; None for anything else."""
    for magic, encoding in _MAGIC.items():
        if frame.startswith(magic):
            return encoding
    return None


def unpadded(frame: bytes) -> bytes:
    """Returns an image file without the zeros that fill its row.

    Both formats end in bytes that are not zero, so nothing of the file is lost.

    Raises:
      ValueError: It is no image file, or its end is missing.
    """
    encoding = encoding_of(frame)
    whole = frame.rstrip(b"\0")
    if encoding is None:
        raise ValueError(f"no PNG or JPEG file: it starts with {frame[:4].hex(' ')}")
    if not whole.endswith(_ENDS[encoding]):
        raise ValueError(f"the {encoding} file of {len(whole)} bytes has no end")
    return whole


def encoded_column(frames: list[bytes]) -> EncodedImages:
    """Returns image files as a column.

    Raises:
      ValueError: One is no image file, or they are of two formats; with its row.
    """
    kinds = [encoding_of(frame) for frame in frames]
    if not kinds:
        return EncodedImages((), "png")
    for row, kind in enumerate(kinds):
        if kind is None:
            head = frames[row][:4].hex(" ") or "nothing"
            raise ValueError(f"row {row} is no PNG or JPEG file: it starts with {head}")
        if kind != kinds[0]:
            raise ValueError(f"row {row} is a {kind}, the rows before it {kinds[0]}")
    return EncodedImages(tuple(frames), str(kinds[0]))
