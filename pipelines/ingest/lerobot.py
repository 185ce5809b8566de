"""LeRobot datasets, v2.0, v2.1 and v3.0: rows from Parquet, frames from videos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from thresher.episodes.errors import unknown_name
from thresher.episodes.spec import Column
from thresher.pipelines.ingest.guarded_table import GuardedTable
from thresher.pipelines.ingest.lerobot_meta import (
    REMEDY,
    EpisodeMeta,
    Info,
    read_episodes,
    read_info,
    read_tasks,
)
from thresher.pipelines.ingest.parquet_columns import column_of
from thresher.pipelines.ingest.picture_columns import PictureOption
from thresher.pipelines.ingest.recording import (
    Contents,
    FieldInfo,
    Segment,
    SegmentPointer,
    Stream,
)
from thresher.pipelines.ingest.sources import size_of
from thresher.pipelines.ingest.table_rules import (
    MAX_ROWS,
    Budget,
    check_fields,
    check_options,
    clock_times,
    damaged,
    telling_damage,
)
from thresher.pipelines.ingest.video import frames_at, video_info

_CLOCK, _EPISODE, _TASK_INDEX = "timestamp", "episode_index", "task_index"
# The words of a row's task, beside the number that the format keeps.
TASK = "task"
_LARGEST_ROW_GROUP = 2 << 30
_BATCH_ROWS = 256


class LeRobotReader:
    """A dataset's folder, read in this process.

    Attributes:
      path: The folder that holds `meta/info.json`.
      format: 'lerobot'.
    """

    format = "lerobot"
    options = ("images",)  # png, jpeg or raw: how video frames are kept

    def __init__(self, path: Path, options: Mapping[str, str]) -> None:
        """Looks at the options only.

        Raises:
          UserError: An unknown option.
          DamagedRecordingError: The folder is no LeRobot dataset.
        """
        check_options(self.format, options, self.options)
        self.path = path
        self._pictures = PictureOption.of(options)
        self._known: Optional[tuple[Info, dict[str, EpisodeMeta], dict[int, str]]] = (
            None
        )
        if not self.recognises(path):
            raise damaged(path, "", "there is no meta/info.json below it", REMEDY)

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether a folder has LeRobot's `meta/info.json`."""
        return (path / "meta" / "info.json").is_file()

    def _meta(self) -> tuple[Info, dict[str, EpisodeMeta], dict[int, str]]:
        if self._known is None:
            info = read_info(self.path)
            episodes = read_episodes(self.path, info)
            named = {f"episode {episode.index}": episode for episode in episodes}
            if len(named) != len(episodes):
                rule = "two episodes have the same number"
                raise damaged(self.path, "meta", rule, REMEDY)
            self._known = info, named, read_tasks(self.path, info)
        return self._known

    def contents(self) -> Contents:
        """Returns the features of `info.json`, and where the files disagree with it."""
        info, episodes, _ = self._meta()
        frames = sum(episode.length for episode in episodes.values())
        fields = [
            _field_info(n, said, info, frames) for n, said in info.features.items()
        ]
        fields.append(
            FieldInfo(TASK, "string", (), frames, info.fps, note="words of task_index")
        )
        return Contents(
            self.format,
            fields,
            len(episodes),
            self._notes(info, episodes, frames),
            ("episode_index", "robot", "task", "tasks", "fps", "version"),
        )

    def _notes(
        self, info: Info, episodes: Mapping[str, EpisodeMeta], frames: int
    ) -> list[str]:
        notes = [f"LeRobot {info.version}, {info.robot or 'robot not told'}"]
        if info.total_episodes not in (-1, len(episodes)):
            notes.append(
                f"info.json says {info.total_episodes} episodes, meta lists "
                f"{len(episodes)}"
            )
        if info.total_frames not in (-1, frames):
            notes.append(
                f"info.json says {info.total_frames} frames, meta sums {frames}"
            )
        absent = {e.data for e in episodes.values() if not e.data.is_file()}
        absent |= {
            place.path
            for episode in episodes.values()
            for place in episode.videos.values()
            if not place.path.is_file()
        }
        if absent:
            first = ", ".join(sorted(str(p.relative_to(self.path)) for p in absent)[:3])
            notes.append(f"{len(absent)} declared files are missing: {first}, …")
        return notes

    def pointers(self) -> Iterator[SegmentPointer]:
        """Yields episodes by their numbers, as the metadata list them."""
        _, episodes, _ = self._meta()
        frames = sum(episode.length for episode in episodes.values())
        each = size_of(self.path) / max(1, frames)
        for position, episode in episodes.items():
            yield SegmentPointer(position, episode.length, int(each * episode.length))

    def read(self, pointer: SegmentPointer, fields: Sequence[str]) -> Segment:
        """Returns one episode; the clock is its column `timestamp`.

        Raises:
          UserError: No such field.
          DamagedRecordingError: A file of the episode is missing, damaged, or
            disagrees with the metadata.
        """
        info, episodes, tasks = self._meta()
        if pointer.position not in episodes:
            raise unknown_name("episode", pointer.position, episodes)
        check_fields(self.path, fields, [*info.features, TASK])
        episode = episodes[pointer.position]
        with telling_damage(self.path, pointer.position, REMEDY):
            return self._read(info, episode, tasks, fields)

    def _read(
        self,
        info: Info,
        episode: EpisodeMeta,
        tasks: Mapping[int, str],
        fields: Sequence[str],
    ) -> Segment:
        position = f"episode {episode.index}"
        budget = Budget(self.path, position)
        videos = set(info.of_kind("video"))
        stored = {name for name in fields if name not in videos and name != TASK}
        columns = self._columns(episode, stored | {_CLOCK, _TASK_INDEX}, info, budget)
        clock = columns[_CLOCK]
        assert isinstance(clock, np.ndarray)
        times = clock_times(clock, "s", self.path, position)
        words = _words(columns.get(_TASK_INDEX), tasks, episode)
        streams = {}
        for name in fields:
            if name in videos:
                seconds = clock.reshape(-1).astype(np.float64)
                values = self._frames(info, episode, name, seconds, budget)
            else:
                values = words if name == TASK else columns[name]
            streams[name] = Stream(times, values)
        return Segment(position, streams, _attributes(info, episode, words))

    def _columns(
        self, episode: EpisodeMeta, names: set[str], info: Info, budget: Budget
    ) -> dict[str, Column]:
        """Returns stored columns of the episode's rows, found by its number."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        position = f"episode {episode.index}"
        where = str(episode.data.relative_to(self.path))
        if not episode.data.is_file():
            raise damaged(self.path, position, f"{where} is missing", REMEDY)
        if not episode.data.stat().st_size:
            raise damaged(self.path, position, f"{where} has 0 bytes", REMEDY)
        with pq.ParquetFile(episode.data) as file:
            there = set(file.schema_arrow.names)
            needed = [n for n in info.features if n in names]
            absent = sorted(set(needed) - there)
            if absent or not {_CLOCK, _EPISODE} <= there:
                lacking = absent or sorted({_CLOCK, _EPISODE} - there)
                raise ValueError(f"{where} has no column {', '.join(lacking)}")
            rows_budget = Budget(self.path, position)
            batches = list(_batches(file, episode.index, needed, rows_budget))
        rows = sum(batch.num_rows for batch in batches)
        if rows != episode.length:
            raise ValueError(
                f"{where} holds {rows} rows of it, the metadata say {episode.length}"
            )
        if not rows:
            raise ValueError("it has no rows")
        table = pa.Table.from_batches(batches)
        return {n: column_of(table.column(n), n, budget) for n in needed}

    def _frames(
        self,
        info: Info,
        episode: EpisodeMeta,
        name: str,
        seconds: np.ndarray,
        budget: Budget,
    ) -> Column:
        position = f"episode {episode.index}, {name}"
        said = info.features[name]
        if _is_depth(said):
            rule = "a depth map coded as video, whose pixels are no distances"
            raise damaged(self.path, position, rule, "leave the field out")
        place = episode.videos[name]
        head = video_info(place.path)
        self._check_head(head, said, episode, place.stop_s, position)
        times = place.start_s + seconds
        if len(times) and times[-1] > place.stop_s:
            raise damaged(
                self.path,
                position,
                f"its last row is at {times[-1]:.3f} s of a video that the metadata "
                f"end at {place.stop_s:.3f} s",
                REMEDY,
            )
        # Half a period: a frame belongs to one row, and a missing one is missed.
        frames = frames_at(place.path, times, 0.5 / info.fps, position)
        return self._pictures.keep(frames, budget, name)

    def _check_head(
        self,
        head: Any,
        said: Mapping[str, Any],
        episode: EpisodeMeta,
        stop_s: float,
        position: str,
    ) -> None:
        shape = [size for size in said.get("shape", ()) if size != 3]
        if sorted(shape) != sorted([head.height, head.width]):
            raise damaged(
                self.path,
                position,
                f"frames are {head.height} × {head.width}, info.json says "
                f"{said.get('shape')}",
                REMEDY,
            )
        own_file = stop_s == float("inf")
        if own_file and head.frames and head.frames != episode.length:
            raise damaged(
                self.path,
                position,
                f"its video has {head.frames} frames, its table {episode.length} rows",
                REMEDY,
            )


def _batches(file: Any, index: int, names: Sequence[str], budget: Budget) -> Iterator:
    """Yields the rows of an episode, from the row groups that may hold it."""
    import pyarrow.compute as pc

    groups = []
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        if group.total_byte_size > _LARGEST_ROW_GROUP or group.num_rows > MAX_ROWS:
            raise ValueError(
                f"row group {number} declares {group.total_byte_size} bytes"
            )
        if _may_hold(group, index):
            groups.append(number)
    wanted = list(dict.fromkeys([*names, _EPISODE]))
    for batch in file.iter_batches(_BATCH_ROWS, row_groups=groups, columns=wanted):
        kept = batch.filter(pc.equal(batch.column(_EPISODE), index))
        if kept.num_rows:
            # Counted as they come, so that an endless episode stops in time.
            budget.spend(kept.nbytes, "the episode's rows")
            yield kept


def _may_hold(group: Any, index: int) -> bool:
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == _EPISODE:
            said = column.statistics
            if said is None or not said.has_min_max:
                return True
            return bool(said.min <= index <= said.max)
    return True


def _words(
    indices: Optional[Column], tasks: Mapping[int, str], episode: EpisodeMeta
) -> np.ndarray:
    """Returns each row's task in words."""
    texts = np.empty(episode.length, dtype=object)
    if isinstance(indices, np.ndarray) and tasks:
        numbers = [int(number) for number in indices.reshape(-1)]
        for number in numbers:
            if number not in tasks:
                raise ValueError(f"task_index {number} is in no list of tasks")
        texts[:] = [tasks[number] for number in numbers]
    else:
        texts[:] = episode.tasks[0] if len(episode.tasks) == 1 else ""
    return texts


def _attributes(info: Info, episode: EpisodeMeta, words: np.ndarray) -> dict[str, Any]:
    tasks = list(dict.fromkeys(str(word) for word in words if word))
    return {
        **episode.more,
        "episode_index": episode.index,
        "robot": info.robot,
        "fps": info.fps,
        "version": info.version,
        "task": tasks[0] if len(tasks) == 1 else "; ".join(tasks),
        "tasks": list(episode.tasks) or tasks,
    }


def _field_info(
    name: str, said: Mapping[str, Any], info: Info, frames: int
) -> FieldInfo:
    kind = str(said.get("dtype"))
    shape = tuple(int(size) for size in said.get("shape") or ())
    # One number a row is stored without the axis that info.json gives it.
    plain = () if shape == (1,) else shape
    picture = kind in ("video", "image")
    note = "depth map: not read" if _is_depth(said) else ""
    return FieldInfo(name, kind, plain, frames, info.fps, picture, note=note)


def _is_depth(said: Mapping[str, Any]) -> bool:
    more = said.get("info") or said.get("video_info") or {}
    keys = ("is_depth_map", "video.is_depth_map")
    return said.get("dtype") == "video" and any(more.get(key) for key in keys)


class LeRobotTable(GuardedTable):
    """A LeRobot dataset's folder, read in a process of its own."""

    format = LeRobotReader.format
    reader = LeRobotReader
