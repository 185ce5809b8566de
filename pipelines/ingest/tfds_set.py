"""RLDS datasets as TFDS lays them out (Open X-Embodiment): records of whole episodes.

Image files pass through as they are. What a step means differs between datasets (RLDS
or Open X-Embodiment alignment), which the mapping says; here rows are as recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from thresher.episodes.errors import unknown_name
from thresher.episodes.example_wire import FeatureBytes, parse_example
from thresher.episodes.images import EncodedImages
from thresher.pipelines.ingest.recording import (
    Contents,
    FieldInfo,
    Segment,
    SegmentPointer,
    Stream,
)
from thresher.pipelines.ingest.table_rules import (
    Budget,
    check_fields,
    check_options,
    check_path,
    damaged,
    row_times,
    telling_damage,
)
from thresher.pipelines.ingest.tfds_features import Leaf, decode, leaves
from thresher.pipelines.ingest.tfrecord_places import (
    RecordPlace,
    place_at,
    record_at,
    record_places,
)

REMEDY = "download the shard again, or leave the episode out"
_STEPS = "steps/"
_METADATA = "episode_metadata/"
_FEATURES, _INFO = "features.json", "dataset_info.json"
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_LARGEST_JSON = 64 << 20


class TfdsTable:
    """A version's folder, with `features.json` and TFRecord shards.

    Attributes:
      path: The folder.
      format: 'tfds'.
    """

    format = "tfds"
    options = ("split",)  # one split only; all of them if not given

    def __init__(self, path: Path, options: Mapping[str, str]) -> None:
        """Reads the two JSON files.

        Raises:
          UserError: An unknown option or split; a file format other than TFRecord.
          DamagedRecordingError: The JSON is damaged, or there are no steps.
        """
        check_options(self.format, options, self.options)
        self.path = path
        if not self.recognises(path):
            rule = f"there is no {_FEATURES} and {_INFO} in it"
            remedy = "name the version's folder, such as bridge_dataset/1.0.0"
            raise damaged(path, "", rule, remedy)
        with telling_damage(path / _FEATURES, "", REMEDY):
            found = list(leaves(_json(path / _FEATURES)))
        self._leaves = {leaf.path: leaf for leaf in found}
        self._fields = {
            leaf.path[len(_STEPS) :]: leaf
            for leaf in found
            if leaf.path.startswith(_STEPS)
        }
        if not self._fields:
            rule = "its features have no 'steps', so it is no RLDS dataset"
            raise damaged(path / _FEATURES, "", rule, "map another dataset")
        with telling_damage(path / _INFO, "", REMEDY):
            self._shards = _shards(path, _json(path / _INFO), options.get("split"))

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether a folder has both of TFDS's JSON files."""
        return (path / _FEATURES).is_file() and (path / _INFO).is_file()

    def contents(self) -> Contents:
        """Returns the features of a step, and how many episodes the shards declare."""
        fields = [
            FieldInfo(
                name,
                leaf.dtype if not leaf.refused else "not read",
                _known(leaf.shape),
                is_image=leaf.kind == "Image" and leaf.dtype == "uint8",
                note=leaf.refused,
            )
            for name, leaf in self._fields.items()
        ]
        known = [count for count in self._shards.values() if count is not None]
        attributes = [n for n in self._leaves if not n.startswith(_STEPS)]
        notes = [f"{len(self._shards)} shards"]
        notes += [f"{p.name} is missing" for p in self._shards if not p.is_file()]
        return Contents(self.format, fields, sum(known), notes, sorted(attributes))

    def pointers(self) -> Iterator[SegmentPointer]:
        """Yields episodes in the order of shards; damage is a pointer that tells it."""
        for shard, declared in self._shards.items():
            if not shard.is_file():
                yield SegmentPointer(f"{shard.name}, missing")
                continue
            count = 0
            for place in record_places(shard):
                count += not place.problem
                yield SegmentPointer(_position(shard, place), -1, place.length)
            if declared is not None and count != declared:
                yield SegmentPointer(f"{shard.name}, {count} of {declared} episodes")

    def read(self, pointer: SegmentPointer, fields: Sequence[str]) -> Segment:
        """Returns one episode; row k has time k * 1e9 ns.

        Raises:
          UserError: No such field.
          DamagedRecordingError: The record is damaged, or not what the features say.
        """
        check_fields(self.path, fields, self._fields)
        position = pointer.position
        with telling_damage(self.path, position, REMEDY):
            entries = parse_example(self._record(position))
            budget = Budget(self.path, position)
            columns = {
                name: decode(
                    self._leaf(name), _entry(entries, f"{_STEPS}{name}"), budget
                )
                for name in fields
            }
            rows = {len(column) for column in columns.values()}
            if len(rows) > 1:
                counts = {name: len(column) for name, column in columns.items()}
                raise ValueError(f"fields have different numbers of steps: {counts}")
            times = row_times(rows.pop() if rows else 0)
            streams = {name: Stream(times, column) for name, column in columns.items()}
            return Segment(position, streams, self._attributes(entries, budget))

    def _leaf(self, name: str) -> Leaf:
        leaf = self._fields[name]
        if leaf.refused:
            raise ValueError(f"{name} is not read: {leaf.refused}")
        return leaf

    def _record(self, position: str) -> bytes:
        name, _, rest = position.partition(", ")
        shards = {shard.name: shard for shard in self._shards}
        if name not in shards:
            raise unknown_name("shard", name, shards)
        if not rest.startswith("bytes "):
            raise ValueError(f"{rest}: the rest of the shard is not there")
        first, _, last = rest[len("bytes ") :].partition("-")
        place = place_at(shards[name], int(first))
        if not place.problem and place.offset + place.length != int(last):
            raise ValueError("there is another record than was listed")
        return record_at(shards[name], place)

    def _attributes(
        self, entries: Mapping[str, FeatureBytes], budget: Budget
    ) -> dict[str, Any]:
        """Returns everything in the record beside its steps."""
        found: dict[str, Any] = {}
        for path, leaf in self._leaves.items():
            if path.startswith(_STEPS) or leaf.refused or path not in entries:
                continue
            column = decode(leaf, entries[path], budget)
            if isinstance(column, EncodedImages) or not len(column):
                continue
            value = column[0].tolist() if leaf.shape else column[0]
            plain = value.item() if isinstance(value, np.generic) else value
            found[path] = plain
            found.setdefault(
                path[len(_METADATA) :] if path.startswith(_METADATA) else path, plain
            )
        return found


def _position(shard: Path, place: RecordPlace) -> str:
    return f"{shard.name}, bytes {place.offset}-{place.offset + place.length}"


def _entry(entries: Mapping[str, FeatureBytes], path: str) -> FeatureBytes:
    if path not in entries:
        raise ValueError(f"the record has no {path}")
    return entries[path]


def _known(shape: Sequence[Optional[int]]) -> Optional[tuple[int, ...]]:
    return None if None in shape else tuple(int(size or 0) for size in shape)


def _json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _LARGEST_JSON:
        raise ValueError(f"more than {_LARGEST_JSON >> 20} MiB of JSON")
    said = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(said, dict):
        raise ValueError("no JSON object")
    return said


def _shards(
    root: Path, info: Mapping[str, Any], split: Optional[str]
) -> dict[Path, Optional[int]]:
    """Returns how many records each shard declares, None where it does not say."""
    suffix = str(info.get("fileFormat") or "tfrecord")
    if suffix != "tfrecord":
        raise damaged(
            root,
            _INFO,
            f"its shards are {suffix!r} files",
            "convert it: tfds convert_format --out_file_format=tfrecord",
        )
    splits = {str(said["name"]): said for said in info.get("splits", ())}
    if split is not None and split not in splits:
        raise unknown_name("split", split, splits)
    shards: dict[Path, Optional[int]] = {}
    for name, said in splits.items():
        if split in (None, name):
            lengths = [int(length) for length in said.get("shardLengths", ())]
            for number, length in enumerate(lengths):
                of = f"{number:05d}-of-{len(lengths):05d}"
                shard = root / _file_name(said, str(info["name"]), name, of)
                check_path(shard)
                shards[shard] = length
    if not shards:
        raise ValueError("no split declares a shard")
    return shards


def _file_name(said: Mapping[str, Any], dataset: str, split: str, of: str) -> str:
    name = str(said.get("filepathTemplate") or _TEMPLATE)
    for key, value in (
        ("DATASET", dataset),
        ("SPLIT", split),
        ("FILEFORMAT", "tfrecord"),
        ("SHARD_X_OF_Y", of),
        ("SHARD_INDEX", of[:5]),
        ("NUM_SHARDS", of[-5:]),
    ):
        name = name.replace(f"{{{key}}}", value)
    if "/" in name or "{" in name or name.startswith("."):
        raise ValueError(f"shards are named {name!r}, which is no file of this folder")
    return name
