"""Finds whatever changed in a sealed version since it was sealed, to the bit.

Checksums say which file; of a damaged shard the offsets in the index and TFRecord's own
checksums say which episodes. Nothing is written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thresher.episodes.errors import UserError
from thresher.episodes.files import sha256_file
from thresher.episodes.index import read_index
from thresher.episodes.progress import progress
from thresher.episodes.version import CHECKSUMS, EPISODES
from thresher.pipelines.write import read_records

# Written after the seal, by the build about itself.
_UNSEALED = ("run.json",)
_MOST_NAMED = 100
_BLOCK_BYTES = 2**20


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

    Reads every byte once: as long as the disk takes, in constant memory.

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
    except ValueError as error:
        return [Damage(CHECKSUMS, f"was changed ({error})")]
    found: list[Damage] = []
    total = sum(facts["bytes"] for facts in sealed.values())
    with progress("verify (bytes)", total) as bar:
        for name, facts in sealed.items():
            found += _file_damage(folder / name, facts)
            bar.advance(by=facts["bytes"])
    foreign = sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in (*sealed, *_UNSEALED, CHECKSUMS)
    )
    return found + [Damage(name, "is no part of the version") for name in foreign]


def _read_checksums(path: Path) -> dict[str, dict[str, Any]]:
    text = path.read_text()
    content = json.loads(text)
    # As the seal wrote it: a flipped bit between the numbers counts, too.
    if json.dumps(content, indent=1, sort_keys=True) + "\n" != text:
        raise ValueError("its layout is not the seal's")
    try:
        return {
            name: {"bytes": int(facts["bytes"]), "sha256": str(facts["sha256"])}
            for name, facts in content["files"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{error!r}") from error


def _file_damage(path: Path, facts: dict[str, Any]) -> Iterator[Damage]:
    if not path.exists():
        yield Damage(path.name, "is missing")
        return
    size = path.stat().st_size
    if size == facts["bytes"] and sha256_file(path) == facts["sha256"]:
        return
    problem = (
        "holds other bytes than were sealed"
        if size == facts["bytes"]
        else f"holds {size} bytes where {facts['bytes']} were sealed"
    )
    yield Damage(path.name, problem, _unreadable_episodes(path))


def _unreadable_episodes(shard: Path) -> tuple[str, ...]:
    """Returns the episodes of a shard whose record fails TFRecord's checksums.

    A reader stops at the first such record; it is set on again behind it, where the
    index says the next one begins. One pass for each, so only so many are named.
    """
    try:
        rows = read_index(shard.parent / EPISODES).to_pylist()
    except (OSError, ValueError):
        return ()  # The index itself is damaged, and reported by itself.
    rows = [row for row in rows if row["shard_file"] == shard.name]
    unreadable: list[str] = []
    start = 0
    while start < len(rows) and len(unreadable) < _MOST_NAMED:
        start += _readable(shard, rows[start]["record_offset"])
        if start < len(rows):
            unreadable.append(rows[start]["episode_id"])
        start += 1
    return tuple(unreadable)


def _readable(shard: Path, offset: int) -> int:
    """Returns how many whole records follow an offset before a damaged one."""
    count = 0
    with open(shard, "rb") as file, tempfile.NamedTemporaryFile() as rest:
        file.seek(offset)
        while block := file.read(_BLOCK_BYTES):
            rest.write(block)
        rest.flush()
        with contextlib.suppress(ValueError):
            for _ in read_records(Path(rest.name)):
                count += 1
    return count
