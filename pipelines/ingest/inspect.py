"""Tells what is inside a recording: `thresher inspect FILE`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from thresher.episodes.errors import UserError
from thresher.episodes.files import atomic_write
from thresher.episodes.images import EncodedImages, decode_image, encode_image
from thresher.pipelines.ingest.formats import Recording, is_log, open_recording
from thresher.pipelines.ingest.guesses import guesses
from thresher.pipelines.ingest.recording import (
    Contents,
    DamagedRecordingError,
    FieldInfo,
)
from thresher.pipelines.ingest.sources import size_of


def inspect(
    path: Path,
    options: Optional[Mapping[str, str]] = None,
    pictures: Optional[Path] = None,
    format: str = "",
) -> list[str]:
    """Returns lines that say what is inside a recording.

    Args:
      path: A file or folder.
      options: For the reader: {'ros_distro': 'humble'}.
      pictures: A folder for a first, a middle and a last picture of each image field;
        None for none.
      format: A format's name, which overrules what the bytes say.

    Raises:
      UserError: It cannot be opened.
    """
    recording = open_recording(path, options, format)
    contents = recording.contents()
    lines = [f"{path}: {contents.format}, {size_of(path):,} bytes"]
    if contents.episodes:
        lines.append(f"{contents.episodes} episodes, marked by the format itself")
    lines += ["", *_table(contents.fields)]
    if contents.attributes:
        lines += ["", "attributes: " + ", ".join(contents.attributes)]
    lines += [f"note: {note}" for note in contents.notes]
    lines += [f"guess: {guess}" for guess in guesses(contents)]
    if pictures is not None:
        written = write_pictures(recording, contents, pictures)
        lines += [f"picture: {file}" for file in written]
    return lines


def _table(fields: Sequence[FieldInfo]) -> list[str]:
    rows = [("field", "type", "shape", "count", "Hz", "longest gap", "note")]
    rows += [
        (
            field.name,
            field.type,
            "" if field.shape is None else str(list(field.shape)),
            str(field.count) if field.count >= 0 else "?",
            f"{field.rate_hz:.1f}" if field.rate_hz else "",
            f"{field.largest_gap_seconds:.3f} s" if field.largest_gap_seconds else "",
            field.note,
        )
        for field in fields
    ]
    widths = [min(48, max(len(row[k]) for row in rows)) for k in range(6)]
    return [
        "  ".join([*(text.ljust(w) for text, w in zip(row, widths)), row[6]]).rstrip()
        for row in rows
    ]


def write_pictures(
    recording: Recording, contents: Contents, folder: Path
) -> list[Path]:
    """Writes a first, a middle and a last picture of each image field as PNG.

    Depth is stretched to black and white: it is for looking at.

    Returns:
      The files.

    Raises:
      UserError: The recording holds no pictures.
    """
    fields = [field for field in contents.fields if field.is_image]
    if not fields:
        raise UserError(f"{recording.path} holds no field that is a picture")
    chosen = _of_log if is_log(recording) else _of_table
    written = []
    for field, which, value in chosen(recording, fields):
        name = re.sub(r"[^a-zA-Z0-9]+", "_", field).strip("_")
        file = folder / f"{name}_{which}.png"
        atomic_write(file, _png(value))
        written.append(file)
    return sorted(written)


def _of_log(log: Any, fields: Sequence[FieldInfo]) -> Iterator[tuple[str, str, Any]]:
    wanted = {f.name: _three(f.count) for f in fields}
    seen = dict.fromkeys(wanted, 0)
    try:
        for message in log.messages(list(wanted)):
            for field, value in message.values.items():
                for which in wanted[field].get(seen[field], ()):
                    yield field, which, value
                seen[field] += 1
    except DamagedRecordingError:
        # What could be read was shown; the notes say the rest.
        return


def _of_table(
    table: Any, fields: Sequence[FieldInfo]
) -> Iterator[tuple[str, str, Any]]:
    pointer = next(iter(table.pointers()), None)
    if pointer is None:
        return
    segment = table.read(pointer, [field.name for field in fields])
    for field, stream in segment.streams.items():
        values = stream.values
        frames = values.frames if isinstance(values, EncodedImages) else values
        for position, names in _three(len(frames)).items():
            for which in names:
                yield field, which, frames[position]


def _three(count: int) -> dict[int, list[str]]:
    """Returns positions of the first, middle and last of some, with those names."""
    wanted: dict[int, list[str]] = {}
    if count > 0:
        for which, position in (("1", 0), ("2", count // 2), ("3", count - 1)):
            wanted.setdefault(position, []).append(which)
    return wanted


def _png(value: Any) -> bytes:
    if isinstance(value, bytes):
        return encode_image(decode_image(value), "png")
    pixels = np.asarray(value)
    if pixels.dtype != np.uint8:
        finite = pixels[np.isfinite(pixels)]
        low, high = (finite.min(), finite.max()) if finite.size else (0, 1)
        scaled = (pixels.astype(np.float64) - low) / max(float(high) - float(low), 1e-9)
        pixels = (np.nan_to_num(np.clip(scaled, 0, 1)) * 255).astype(np.uint8)
    return encode_image(pixels, "png")
