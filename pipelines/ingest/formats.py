"""Which reader a recording belongs to, judged by its bytes and layout."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Union, cast

from thresher.episodes.errors import UserError, unknown_name
from thresher.pipelines.ingest.mcap_records import names_thresher
from thresher.pipelines.ingest.recording import EpisodeTable, MessageLog
from thresher.pipelines.ingest.split_files import is_numbered
from thresher.pipelines.ingest.unread import refuse_known

Recording = Union[MessageLog, EpisodeTable]
_HERE = "thresher.pipelines.ingest"


@dataclasses.dataclass(frozen=True)
class Format:
    """A format and where its reader is; modules are imported when they are needed.

    Attributes:
      name: What a mapping's `source: {format: …}` calls it.
      module: The module of its reader.
      reader: The class, made as `Class(path, options)`.
      is_log: Whether it is a log of timed messages; else a table of episodes.
      suffixes: Of files that claim to be of it, so that damaged ones are named.
      only_by_name: Whether it is never guessed.
    """

    name: str
    module: str
    reader: str
    is_log: bool
    suffixes: tuple[str, ...] = ()
    only_by_name: bool = False

    @property
    def type(self) -> Any:
        """The reader's class."""
        return getattr(importlib.import_module(f"{_HERE}.{self.module}"), self.reader)


# Folders before files, and what is certain before what is likely: CSV has no magic.
FORMATS = (
    Format("ros2_bag", "ros2_bag", "Ros2Bag", True, (".db3",)),
    Format("mcap", "mcap_log", "McapLog", True, (".mcap",)),
    Format("ros1_bag", "ros1_bag", "Ros1Bag", True, (".bag",)),
    Format("ros1_split", "ros1_bag", "Ros1SplitBag", True, only_by_name=True),
    Format("lerobot", "lerobot", "LeRobotTable", False),
    Format("minari", "minari_set", "MinariTable", False),
    Format("tfds", "tfds_set", "TfdsTable", False),
    Format("envlogger", "envlogger", "EnvLoggerTable", False),
    Format("tf_agents", "tf_agents_records", "TfAgentsTable", False, (".tfrecord",)),
    Format("hdf5", "hdf5", "Hdf5Table", False, (".hdf5", ".h5")),
    Format("delimited", "delimited", "DelimitedTable", False, (".csv", ".jsonl")),
)
GUESSED = tuple(format for format in FORMATS if not format.only_by_name)
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".npy", ".npz")


def find_format(path: Path, name: str = "") -> Format:
    """Returns the format of a file or folder.

    Args:
      path: The recording.
      name: A format's name, which overrules what the bytes say.

    Raises:
      UserError: No format fits, or the file is a pickle or a raw log of Thresher's.
    """
    if not path.exists():
        raise UserError(f"there is no recording {path}; check the path")
    if name:
        return _named(name)
    found = _recognised(path)
    if found is not None:
        _refuse_own(path, found)
        return found
    refuse_known(path)
    claimed = [f for f in FORMATS if path.is_file() and path.suffix in f.suffixes]
    if claimed:
        return claimed[0]
    raise UserError(
        f"no reader knows what {path} is; read are "
        f"{', '.join(format.name for format in FORMATS)}. If it is one of them, say so "
        "in the mapping: source: {format: NAME}"
    )


def _named(name: str) -> Format:
    for format in FORMATS:
        if format.name == name:
            return format
    raise unknown_name("format", name, [format.name for format in FORMATS])


def _recognised(path: Path) -> Format | None:
    for format in GUESSED:
        if format.type.recognises(path):
            return format
    return None


def _refuse_own(path: Path, format: Format) -> None:
    if format.name == "mcap" and names_thresher(path):
        raise UserError(
            f"{path} is a raw log of Thresher's own: its episodes need no mapping; "
            "give its folder to the build"
        )


def open_recording(
    path: Path, options: Mapping[str, str] | None = None, name: str = ""
) -> Recording:
    """Opens a recording, reading its head only.

    Raises:
      UserError: As `find_format`, or the head is damaged.
    """
    return cast(Recording, find_format(path, name).type(path, dict(options or {})))


def is_log(recording: Recording) -> bool:
    """Whether a recording is a log of messages; else it is a table of episodes."""
    return hasattr(recording, "messages")


def find_recordings(root: Path, name: str = "") -> list[Path]:
    """Returns the recordings that a source names, by name.

    Args:
      root: A recording, or a folder in which they are looked for at any depth. CSV and
        JSONL files count only where there is nothing else, or by their format's name.
      name: A format's name; then every file that claims to be of it counts.

    Raises:
      UserError: There is no such path, or no recording in it.
    """
    if not root.exists():
        raise UserError(f"there is no recording or folder {root}; check the path")
    if root.is_file() or (name and _named(name).type.recognises(root)):
        return [root]
    found = list(_walk(root, name))
    # A text table beside recordings is more often a list of them than one itself.
    recordings = [path for path, is_text in found if not is_text]
    if not found:
        raise UserError(
            f"{root} holds no recording; read are "
            f"{', '.join(format.name for format in FORMATS)}"
        )
    return recordings or [path for path, _ in found]


def one_recording(path: Path, name: str = "") -> tuple[Path, list[str]]:
    """Returns a recording, or the first in a folder of them, and what is told of that.

    Raises:
      UserError: As `find_recordings`.
    """
    if not path.is_dir() or (name and _named(name).type.recognises(path)):
        return path, []
    found = find_recordings(path, name)
    if found == [path]:
        return path, []
    told = [f"{path} has {len(found)} recordings in it; this is {found[0].name}"]
    if is_numbered(found) and all(find_format(f).name == "ros1_bag" for f in found):
        told.append(
            "they are numbered as a recording that was split into several is: where "
            "they are one, say source: {format: ros1_split}, or --format ros1_split"
        )
    return found[0], told


def _walk(
    folder: Path, name: str, above: frozenset[Path] = frozenset()
) -> Iterator[tuple[Path, bool]]:
    """Yields recordings, and whether each is a text table that nobody asked for.

    Args:
      folder: Where to look.
      name: A format's name; empty for any.
      above: The folders that this one was reached through, links resolved.
    """
    here = folder.resolve()
    if here in above:
        return  # A link that leads back up.
    formats = (_named(name),) if name else GUESSED
    if any(format.type.recognises(folder) for format in formats):
        yield folder, False
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _walk(path, name, above | {here})
        elif path.suffix in _PICKLES:
            yield path, False
        else:
            found = next((f for f in formats if _claims(path, f)), None)
            if found is not None:
                yield path, found.name == "delimited" and not name


def _claims(path: Path, format: Format) -> bool:
    return path.suffix in format.suffixes or format.type.recognises(path)
