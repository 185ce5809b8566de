"""The picture of a dataset card: a few episodes, one a row, first frame to last."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from PIL import Image

from thresher.episodes.episode import Episode
from thresher.episodes.images import EncodedImages
from thresher.episodes.metadata import Success
from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.tfds_record import decode_record
from thresher.pipelines.shard_files import shard_records
from thresher.pipelines.write import ShardUnit

_EACH = 2
_FRAMES = 8
_SIDE = 96
_GAP = 4
# Green, red and grey of equal weight for eyes that do not tell green from red.
_MARKS = {Success.YES: "#1b9e77", Success.NO: "#d95f02", Success.UNKNOWN: "#999999"}
# Looking for a rare outcome must not mean reading the dataset.
_MOST_READ = 200


def picture_strip(units: Sequence[ShardUnit], spec: EpisodeSpec) -> bytes | None:
    """Returns a PNG of the first successes and failures; None without a camera.

    The first ones in the order of the plan, not the best ones: nobody picks what is
    shown. A bar before each row is green for success, orange for failure.
    """
    camera = next((f.name for f in spec.features if f.is_image), None)
    if camera is None:
        return None
    rows = [_row(episode, camera) for episode in _chosen(units, spec)]
    height = len(rows) * (_SIDE + _GAP) - _GAP
    sheet = Image.new("RGB", (max(row.width for row in rows), height), "white")
    for number, row in enumerate(rows):
        sheet.paste(row, (0, number * (_SIDE + _GAP)))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _chosen(units: Sequence[ShardUnit], spec: EpisodeSpec) -> list[Episode]:
    wanted = {Success.YES: _EACH, Success.NO: _EACH}
    found: list[Episode] = []
    spare: list[Episode] = []
    for read, episode in enumerate(_episodes(units, spec)):
        success = episode.metadata.outcome.success
        if wanted.get(success, 0):
            wanted[success] -= 1
            found.append(episode)
        elif len(spare) < 2 * _EACH:
            spare.append(episode)
        if not any(wanted.values()) or read >= _MOST_READ:
            break
    found.sort(key=lambda episode: episode.metadata.outcome.success != Success.YES)
    return found or spare


def _episodes(units: Sequence[ShardUnit], spec: EpisodeSpec) -> Iterator[Episode]:
    for unit in sorted(units, key=lambda unit: unit.split != "train"):
        for _, record in shard_records(unit.file):
            yield decode_record(record, spec)


def _row(episode: Episode, camera: str) -> Image.Image:
    images = episode.steps[camera]
    assert isinstance(images, EncodedImages)
    last = len(images) - 1
    steps = sorted({round(k * last / (_FRAMES - 1)) for k in range(_FRAMES)})
    row = Image.new("RGB", (_GAP * 2 + len(steps) * (_SIDE + _GAP), _SIDE), "white")
    row.paste(_MARKS[episode.metadata.outcome.success], (0, 0, _GAP, _SIDE))
    for place, step in enumerate(steps):
        with Image.open(io.BytesIO(images.frames[step])) as frame:
            shown = frame.convert("RGB")
        shown.thumbnail((_SIDE, _SIDE))
        if max(shown.size) < _SIDE:
            scale = _SIDE / max(shown.size)
            width, height = (max(1, round(side * scale)) for side in shown.size)
            shown = shown.resize((width, height), Image.Resampling.NEAREST)
        row.paste(shown, (_GAP * 2 + place * (_SIDE + _GAP), 0))
    return row
