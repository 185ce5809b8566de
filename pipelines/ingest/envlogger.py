"""EnvLogger's trajectories (Riegeli files), through its own library.

EnvLogger writes with each time step the action that led to it, so the first step of an
episode has no action, reward or discount. Left out there, they fall into the place of
the observation they followed: one fewer than observations.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thresher.episodes.errors import UserError
from thresher.episodes.images import EncodedImages
from thresher.episodes.spec import Column
from thresher.pipelines.ingest.guarded_table import GuardedTable
from thresher.pipelines.ingest.optional import load_envlogger_reader
from thresher.pipelines.ingest.picture_columns import PictureOption, looks_like_pixels
from thresher.pipelines.ingest.recording import (
    Contents,
    FieldInfo,
    Segment,
    SegmentPointer,
    Stream,
)
from thresher.pipelines.ingest.sources import size_of
from thresher.pipelines.ingest.table_rules import (
    Budget,
    check_fields,
    check_options,
    damaged,
    row_times,
    telling_damage,
)

REMEDY = (
    "copy the folder again; a shard whose writer was not closed has no index and "
    "cannot be read"
)
_METADATA = "metadata.riegeli"


class EnvLoggerReader:
    """A folder that EnvLogger's Riegeli backend wrote, read in this process.

    Attributes:
      path: The folder with `metadata.riegeli`.
      format: 'envlogger'.
    """

    format = "envlogger"
    options = ("images",)  # png, jpeg or raw: how pixels are kept

    def __init__(self, path: Path, options: Mapping[str, str]) -> None:
        """Looks at the options only.

        Raises:
          UserError: An unknown option.
          DamagedRecordingError: The folder has no `metadata.riegeli`.
        """
        check_options(self.format, options, self.options)
        self.path = path
        self._pictures = PictureOption.of(options)
        if not self.recognises(path):
            raise damaged(path, "", f"there is no {_METADATA} in it", REMEDY)

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether a folder has EnvLogger's metadata file."""
        return (path / _METADATA).is_file()

    @contextlib.contextmanager
    def _opened(self, position: str = "") -> Iterator[Any]:
        module = load_envlogger_reader()
        with telling_damage(self.path, position, REMEDY):
            with module.Reader(data_directory=str(self.path)) as reader:
                yield reader

    def contents(self) -> Contents:
        """Returns what the first episode's steps hold."""
        with self._opened() as reader:
            episodes = len(reader.episodes)
            if not episodes:
                return Contents(self.format, (), notes=("no episode is in it",))
            heads = _columns(reader.episodes[0], "episode 0", _head)
            fields = [
                FieldInfo(
                    name,
                    str(values[0][0]),
                    values[0][1],
                    is_image=looks_like_pixels((1, *values[0][1]), values[0][0]),
                    note=f"{len(values)} values in the first episode",
                )
                for name, values in heads.items()
            ]
            attributes = _attributes(reader, 0)
        return Contents(self.format, fields, episodes, (), sorted(attributes))

    def pointers(self) -> Iterator[SegmentPointer]:
        """Yields episodes in the order of their recording."""
        with self._opened() as reader:
            each = size_of(self.path) // max(1, len(reader.episodes))
            for number, episode in enumerate(reader.episodes):
                yield SegmentPointer(f"episode {number}", len(episode), each)

    def read(self, pointer: SegmentPointer, fields: Sequence[str]) -> Segment:
        """Returns one episode: N observations, N - 1 actions, rewards and discounts.

        Raises:
          UserError: No such field, or no such episode.
          DamagedRecordingError: A step cannot be read, or lacks a value.
        """
        position = pointer.position
        with self._opened(position) as reader:
            number = _number(position, len(reader.episodes))
            budget = Budget(self.path, position)
            found = _columns(reader.episodes[number], position, self._kept(budget))
            check_fields(self.path, fields, found)
            columns = {name: _joined(name, found[name]) for name in fields}
            streams = {
                name: Stream(row_times(len(column)), column)
                for name, column in columns.items()
            }
            return Segment(position, streams, _attributes(reader, number))

    def _kept(self, budget: Budget) -> Callable[[str, Any], Any]:
        """Returns what turns a value into what is kept of it: pixels are encoded."""

        def keep(name: str, value: Any) -> Any:
            array = np.asarray(value)
            if looks_like_pixels((1, *array.shape), array.dtype):
                return self._pictures.keep(iter([array]), budget, name)
            budget.spend(array.nbytes, name)
            return value

        return keep


def _joined(name: str, values: list[Any]) -> Column:
    """Returns the values of all steps as a column.

    Raises:
      ValueError: They differ in shape.
    """
    if isinstance(values[0], EncodedImages):
        frames = tuple(frame for value in values for frame in value.frames)
        return EncodedImages(frames, values[0].encoding)
    if isinstance(values[0], str):
        texts = np.empty(len(values), dtype=object)
        texts[:] = values
        return texts
    shapes = {np.shape(value) for value in values}
    if len(shapes) > 1:
        raise ValueError(f"{name} has values of the shapes {sorted(shapes)}")
    rows = np.stack([np.asarray(value) for value in values])
    # Raw pixels come with the axis of the one frame that was kept.
    return rows[:, 0] if rows.ndim == 5 and rows.dtype == np.uint8 else rows


def _head(name: str, value: Any) -> tuple[np.dtype, tuple[int, ...]]:
    array = np.asarray(value)
    return array.dtype, array.shape


def _number(position: str, count: int) -> int:
    said = position.rpartition(" ")[2]
    if not said.isdecimal() or int(said) >= count:
        raise UserError(f"there is no {position!r}; there are {count} episodes")
    return int(said)


def _columns(
    steps: Any, position: str, keep: Callable[[str, Any], Any]
) -> dict[str, list[Any]]:
    """Returns what is kept of the values of every field of an episode, in order.

    Raises:
      ValueError: A step after the first lacks a value.
    """
    found: dict[str, list[Any]] = {}
    first: dict[str, bool] = {}
    for row in range(len(steps)):
        step = steps[row]
        said = {
            "observation": step.timestep.observation,
            "step_type": int(step.timestep.step_type),
            "action": step.action,
            "reward": step.timestep.reward,
            "discount": step.timestep.discount,
            "custom_data": step.custom_data,
        }
        leaves = dict(_leaves("", said))
        for name, value in leaves.items():
            first.setdefault(name, row == 0)
            if len(found.setdefault(name, [])) != row - (not first[name]):
                raise ValueError(f"{name} is missing at a step before step {row}")
            found[name].append(keep(name, value))
    for name, values in found.items():
        if len(values) != len(steps) - (not first[name]):
            raise ValueError(f"{name} is missing at step {len(values)} of {position}")
    return found


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key in value:
            yield from _leaves(f"{path}/{key}" if path else str(key), value[key])
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _leaves(f"{path}/{number}", item)
    elif value is not None:
        yield path, value


def _attributes(reader: Any, number: int) -> dict[str, Any]:
    """Returns plain values of the log's and the episode's metadata; the latter win."""
    found: dict[str, Any] = {}
    said = dict(reader.metadata() or {})
    said.pop("environment_specs", None)
    for source in (said, reader.episode_metadata()[number] or {}):
        for name, value in _leaves("", source if isinstance(source, Mapping) else {}):
            array = np.asarray(value)
            if array.dtype.kind in "biufU" and array.size <= 4096:
                found[name] = array.tolist()
    return found


class EnvLoggerTable(GuardedTable):
    """A folder that EnvLogger wrote, read in a process of its own."""

    format = EnvLoggerReader.format
    reader = EnvLoggerReader
