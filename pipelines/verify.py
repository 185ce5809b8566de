"""Finds whatever changed in a sealed version since it was sealed, to the bit.

Checksums say which file; of a damaged shard the offsets in the index and the records'
own checksums say which episodes. Nothing is written, nothing outside the folder is
opened, and nothing that a file says about itself is believed.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pyarrow as pa
import pyarrow.compute as pc

from thresher.episodes.errors import UserError
from thresher.episodes.files import sha256_file
from thresher.episodes.index import read_index
from thresher.episodes.progress import progress
from thresher.episodes.version import CHECKSUMS, EPISODES, require_plausible_rows
from thresher.pipelines.shard_files import RecordReader, record_digest

# Written after the seal, by the build about itself.
UNSEALED = ("run.json",)
_MOST_NAMED = 100
# A version of a hundred thousand shards needs some 15 MB of checksums.
MOST_CHECKSUM_BYTES = 256 << 20
# More than any file system takes.
_MOST_FILE_BYTES = 1 << 63
_PLACES = ("episode_id", "shard_file", "record_offset", "record_length")


@dataclasses.dataclass(frozen=True)
class Damage:
    """One file that is not what was sealed.

    Attributes:
      file: Its name in the version's folder.
      problem: What is wrong with it.
      episodes: Ids of episodes that can no longer be read, the first hundred; empty
        where that is not known, or none.
    """

    file: str
    problem: str
    episodes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Returns a sentence."""
        if not self.episodes:
            return f"{self.file} {self.problem}"
        return f"{self.file} {self.problem}; episodes {', '.join(self.episodes)}"


def verify(folder: Path) -> list[Damage]:
    """Returns everything in a version that is not as it was sealed.

    Reads every byte once, several files at a time: as long as the disk takes, in
    constant memory.

    Args:
      folder: The version's.

    Raises:
      UserError: The folder holds no checksums, so it was never sealed.
    """
    if not (folder / CHECKSUMS).exists():
        raise UserError(
            f"{folder} holds no {CHECKSUMS}: it is no sealed version; give the folder "
            "of one, such as data/datasets/bin_grasping/1.0.0"
        )
    try:
        sealed = _read_checksums(folder / CHECKSUMS)
    except (OSError, ValueError, RecursionError) as error:
        return [Damage(CHECKSUMS, f"was changed ({error})")]
    found: list[Damage] = []
    total = sum(int(facts["bytes"]) for facts in sealed.values())
    # Hashing lets go of the interpreter, so threads use all processors.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        with progress("verify (bytes)", total) as bar:
            checks = pool.map(
                lambda item: (_file_damage(folder, *item), item[1]["bytes"]),
                sealed.items(),
            )
            for damages, size in checks:
                found += damages
                bar.advance(by=size)
    return found + _foreign(folder, sealed)


def _foreign(folder: Path, sealed: dict[str, Any]) -> list[Damage]:
    known = {*sealed, *UNSEALED, CHECKSUMS}
    names = sorted(entry.name for entry in os.scandir(folder))
    return [
        # Others may have given it letters that no terminal should be sent.
        Damage(n if n.isprintable() else ascii(n), "is no part of the version")
        for n in names
        if n not in known
    ]


def _read_checksums(path: Path) -> dict[str, dict[str, Any]]:
    if _kind(path) != "" or path.stat().st_size > MOST_CHECKSUM_BYTES:
        raise ValueError("it is no file of checksums")
    return read_checksums(path.read_text())


def read_checksums(text: str) -> dict[str, dict[str, Any]]:
    """Returns bytes and sha256 of every file of a version, by name.

    Raises:
      ValueError: It is not as a seal writes it, or names anything but files of the
        version's own folder.
    """
    content = json.loads(text)
    # As the seal wrote it: a flipped bit between the numbers counts, too.
    if json.dumps(content, indent=1, sort_keys=True) + "\n" != text:
        raise ValueError("its layout is not the seal's")
    try:
        sealed: dict[str, dict[str, Any]] = {
            str(name): {"bytes": int(facts["bytes"]), "sha256": str(facts["sha256"])}
            for name, facts in content["files"].items()
        }
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{error!r}") from error
    for name, facts in sealed.items():
        is_plain = name and "/" not in name and name.isprintable()
        if not is_plain or name.startswith(".") or name == CHECKSUMS:
            raise ValueError(f"{name[:255]!a} names no file of this folder")
        if not 0 <= facts["bytes"] < _MOST_FILE_BYTES:
            raise ValueError(f"{name[:255]!a} has no file's number of bytes")
    return sealed


def _kind(path: Path) -> str:
    """Returns what a path is, if not a plain file of the folder."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return "is a link to somewhere else"
    return "" if stat.S_ISREG(mode) else "is no plain file"


def _file_damage(folder: Path, name: str, facts: dict[str, Any]) -> list[Damage]:
    path = folder / name
    try:
        kind = _kind(path)
        if kind:
            return [Damage(name, kind)]
        size = path.stat().st_size
        if size == facts["bytes"] and sha256_file(path) == facts["sha256"]:
            return []
    except FileNotFoundError:
        return [Damage(name, "is missing", tuple(_all_episodes(path)))]
    except OSError as error:
        return [Damage(name, f"cannot be read ({error.strerror})")]
    problem = (
        "holds other bytes than were sealed"
        if size == facts["bytes"]
        else f"holds {size} bytes where {facts['bytes']} were sealed"
    )
    lost = tuple(_unreadable_episodes(path))
    if not lost and _all_episodes(path):
        problem += (
            ", though each of its records is as sealed: perhaps what changed is "
            f"{CHECKSUMS}"
        )
    return [Damage(name, problem, lost)]


def _rows(shard: Path) -> Optional[pa.Table]:
    """Returns which records a shard should hold; none if the index cannot say."""
    index = shard.parent / EPISODES
    try:
        if _kind(index):
            return None
        require_plausible_rows(shard.parent)
        columns = [*_PLACES, "record_digest"]
        table = read_index(index, columns)
        return table.filter(pc.equal(table["shard_file"], shard.name))
    # A damaged index is reported by itself; Arrow has an error of its own for each way.
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None


def _all_episodes(shard: Path) -> list[str]:
    rows = _rows(shard)
    return [] if rows is None else rows["episode_id"].to_pylist()[:_MOST_NAMED]


def _unreadable_episodes(shard: Path) -> Iterator[str]:
    """Yields the episodes of a shard whose record is not the one that was sealed."""
    rows = _rows(shard)
    if rows is None or not rows.num_rows:
        return
    try:
        reader = RecordReader(shard)
    except (OSError, ValueError):
        yield from rows["episode_id"].to_pylist()[:_MOST_NAMED]
        return
    named = 0
    size = shard.stat().st_size
    for row in rows.to_pylist():
        if named < _MOST_NAMED and not _is_as_sealed(reader, row, size):
            named += 1
            yield row["episode_id"]
    reader.close()


def _is_as_sealed(reader: RecordReader, row: dict[str, Any], size: int) -> bool:
    offset, length = row["record_offset"], row["record_length"]
    if not (isinstance(offset, int) and isinstance(length, int)):
        return False
    if min(offset, length) < 0 or max(offset, length) > size:
        return False
    try:
        record = reader.record(offset, length)
    except (OSError, ValueError):
        return False
    return record_digest(record) == row["record_digest"]
