"""What a LeRobot folder's `meta/` says: features, episodes, tasks, where files are.

Two layouts: v2.0 and v2.1 keep a Parquet file and a video a camera for each episode;
v3.0 keeps many episodes in each file, and where they are in `meta/episodes`. Sources:
lerobot 0.6.1, `datasets/utils.py` and `dataset_metadata.py`; its v2.1 sample files.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.table_rules import check_path, damaged, telling_damage

REMEDY = "download the dataset again, or leave the episode out"
VERSIONS = ("v2.0", "v2.1", "v3.0")
_OLD = "convert it with lerobot's own scripts (lerobot/scripts/convert_dataset_*)"
_LARGEST_META = 256 << 20
_PLACEHOLDER = re.compile(r"\{(\w+)(?::0?(\d+)d)?\}")


@dataclasses.dataclass(frozen=True)
class Info:
    """What `meta/info.json` says.

    Attributes:
      version: 'v2.0', 'v2.1' or 'v3.0'.
      fps: Rows a second.
      robot: The robot's name; empty if it is not told.
      features: 'dtype', 'shape', 'names' and more, by field.
      chunk_size: Episodes a folder, in v2.
      data_path: Template of the Parquet files.
      video_path: Template of the videos.
      total_episodes: How many it says there are; -1 if it does not.
      total_frames: Likewise.
    """

    version: str
    fps: float
    robot: str
    features: Mapping[str, Mapping[str, Any]]
    chunk_size: int
    data_path: str
    video_path: str
    total_episodes: int
    total_frames: int

    def of_kind(self, kind: str) -> list[str]:
        """Returns the fields of a dtype: 'video', 'image'."""
        return [n for n, said in self.features.items() if said.get("dtype") == kind]


@dataclasses.dataclass(frozen=True)
class VideoPlace:
    """Where an episode's frames are.

    Attributes:
      path: The video file.
      start_s: When the episode starts in it, seconds.
      stop_s: When it ends; infinity where the file is the episode's own.
    """

    path: Path
    start_s: float
    stop_s: float


@dataclasses.dataclass(frozen=True)
class EpisodeMeta:
    """What the metadata say of one episode.

    Attributes:
      index: Its number.
      length: Rows.
      tasks: What was to be done, in words.
      data: The Parquet file.
      videos: By field.
      more: Whatever else is said of it, numbers and texts only.
    """

    index: int
    length: int
    tasks: tuple[str, ...]
    data: Path
    videos: Mapping[str, VideoPlace]
    more: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def read_info(root: Path) -> Info:
    """Returns what `meta/info.json` says.

    Raises:
      DamagedRecordingError: It is damaged, or lacks what must be there.
      UserError: It is of a version that is not read.
    """
    path = root / "meta" / "info.json"
    said = _read_json(path)
    version = str(said.get("codebase_version"))
    if version not in VERSIONS:
        raise UserError(
            f"{path}: codebase_version is {version!r}; {', '.join(VERSIONS)} are read: "
            f"{_OLD}"
        )
    with telling_damage(path, "", REMEDY):
        features = dict(said["features"])
        for name, feature in features.items():
            _check_feature(name, feature)
        fps = float(said["fps"])
        if not 0 < fps < 1e6:
            raise ValueError(f"fps is {said['fps']!r}")
        return Info(
            version,
            fps,
            str(said.get("robot_type") or ""),
            features,
            max(int(said.get("chunks_size") or 1000), 1),
            str(said["data_path"]),
            str(said.get("video_path") or ""),
            int(said.get("total_episodes", -1)),
            int(said.get("total_frames", -1)),
        )


def _check_feature(name: str, said: Any) -> None:
    if not isinstance(said, dict):
        raise ValueError(f"the feature {name!r} is no object")
    shape = said.get("shape") or []
    sizes = shape if isinstance(shape, list) else [None]
    if not all(isinstance(s, (int, float)) and math.isfinite(s) for s in sizes):
        raise ValueError(
            f"the shape of {name!r} is {shape!r}, which is no list of sizes"
        )
    for key in ("info", "video_info"):
        if not isinstance(said.get(key) or {}, dict):
            raise ValueError(f"{key} of {name!r} is {said[key]!r}, which is no object")


def read_episodes(root: Path, info: Info) -> list[EpisodeMeta]:
    """Returns what is said of each episode, in the order of their numbers.

    Raises:
      DamagedRecordingError: The list is missing or damaged.
    """
    rows = _rows_v3(root) if info.version == "v3.0" else _rows_v2(root, info)
    episodes = []
    for row in rows:
        where = f"episode {row.get('episode_index')!r}"
        with telling_damage(root / "meta", where, REMEDY):
            episodes.append(_episode(root, info, row))
    return sorted(episodes, key=lambda episode: episode.index)


def read_tasks(root: Path, info: Info) -> dict[int, str]:
    """Returns tasks by number; empty if there is no list of them."""
    if info.version == "v3.0":
        path = root / "meta" / "tasks.parquet"
        if not path.is_file():
            return {}
        with telling_damage(path, "", REMEDY):
            return dict(_task(row) for row in _parquet_rows(path, None))
    path = root / "meta" / "tasks.jsonl"
    if not path.is_file():
        return {}
    with telling_damage(path, "", REMEDY):
        return {int(r["task_index"]): str(r["task"]) for r in _json_lines(path)}


def _task(row: Mapping[str, Any]) -> tuple[int, str]:
    # The texts were the data frame's index, whose column has no fixed name.
    words = [value for name, value in row.items() if name != "task_index"]
    if not words or not isinstance(row.get("task_index"), (int, float)):
        raise ValueError(f"{dict(row)!r} is no task and its number")
    return int(row["task_index"]), str(words[0])


def filled(template: str, root: Path, values: Mapping[str, Any]) -> Path:
    """Returns the file that a path template names.

    Raises:
      DamagedRecordingError: It names what is not known, or leaves the folder.
    """

    def put(match: re.Match) -> str:
        name, width = match.groups()
        if name not in values:
            raise damaged(
                root, "meta/info.json", f"{template!r} names {name!r}", REMEDY
            )
        value = values[name]
        return f"{int(value):0{min(int(width), 20)}d}" if width else str(value)

    path = root / _PLACEHOLDER.sub(put, template)
    with telling_damage(root, "meta/info.json", REMEDY):
        check_path(path)
    if not path.resolve().is_relative_to(root.resolve()):
        raise damaged(root, "meta/info.json", f"{template!r} leaves the folder", REMEDY)
    return path


def _episode(root: Path, info: Info, row: Mapping[str, Any]) -> EpisodeMeta:
    index = int(row["episode_index"])
    if info.version == "v3.0":
        at = {
            "chunk_index": row["data/chunk_index"],
            "file_index": row["data/file_index"],
        }
    else:
        at = {"episode_chunk": index // info.chunk_size, "episode_index": index}
    plain = {k: v for k, v in row.items() if isinstance(v, (str, int, float, bool))}
    known = ("episode_index", "length")
    return EpisodeMeta(
        index,
        int(row["length"]),
        tuple(str(task) for task in row.get("tasks") or ()),
        filled(info.data_path, root, at),
        {name: _video(root, info, row, name, at) for name in info.of_kind("video")},
        {k: v for k, v in plain.items() if k not in known and "/" not in k},
    )


def _video(
    root: Path, info: Info, row: Mapping[str, Any], name: str, at: Mapping[str, Any]
) -> VideoPlace:
    if info.version != "v3.0":
        path = filled(info.video_path, root, {**at, "video_key": name})
        return VideoPlace(path, 0.0, float("inf"))
    prefix = f"videos/{name}"
    here = {
        "video_key": name,
        "chunk_index": row[f"{prefix}/chunk_index"],
        "file_index": row[f"{prefix}/file_index"],
    }
    return VideoPlace(
        filled(info.video_path, root, here),
        float(row[f"{prefix}/from_timestamp"]),
        float(row[f"{prefix}/to_timestamp"]),
    )


def _rows_v2(root: Path, info: Info) -> list[dict[str, Any]]:
    path = root / "meta" / "episodes.jsonl"
    if not path.is_file():
        raise damaged(path, "", f"{info.version} keeps its episodes there", REMEDY)
    return list(_json_lines(path))


def _rows_v3(root: Path) -> list[dict[str, Any]]:
    folder = root / "meta" / "episodes"
    paths = sorted(folder.rglob("*.parquet"))
    if not paths:
        raise damaged(folder, "", "v3.0 keeps its episodes there", REMEDY)
    return [row for path in paths for row in _parquet_rows(path, "stats/")]


def _parquet_rows(path: Path, without: str | None) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    with telling_damage(path, "", REMEDY):
        if path.stat().st_size > _LARGEST_META:
            raise ValueError(f"more than {_LARGEST_META >> 20} MiB of metadata")
        with pq.ParquetFile(path) as file:
            # Statistics are most of the file, and none of our business.
            names: Sequence[str] = [
                name
                for name in file.schema_arrow.names
                if without is None or not name.startswith(without)
            ]
            for batch in file.iter_batches(1000, columns=list(names)):
                yield from batch.to_pylist()


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    _check_size(path)
    with open(path, encoding="utf-8", errors="strict") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            with telling_damage(path, f"line {number}", REMEDY):
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("no JSON object")
                yield row


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DamagedRecordingError(f"{path} is missing; {REMEDY}")
    _check_size(path)
    with telling_damage(path, "", REMEDY):
        said = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(said, dict):
            raise ValueError("no JSON object")
        return said


def _check_size(path: Path) -> None:
    if path.stat().st_size > _LARGEST_META:
        raise damaged(
            path, "", f"more than {_LARGEST_META >> 20} MiB of metadata", REMEDY
        )
