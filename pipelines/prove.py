"""Proves shards: every planned episode is there, once, in its place, with its digest.

The shard itself is read back. An episode that came from a log is decoded and its
content digest worked out anew; a record that was copied from a sealed version must
have the digest that version was sealed with.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from thresher.episodes.files import atomic_write
from thresher.episodes.tfds_record import content_id, record_id
from thresher.pipelines.manifest import manifest_digests
from thresher.pipelines.shard_files import record_digest, shard_records
from thresher.pipelines.write import ShardUnit

_MOST_PROBLEMS = 100
# Columns of the plan.
_PROVEN_BY = ("episode_id", "source", "relabelled", "record_digest")


@dataclasses.dataclass(frozen=True)
class ProofUnit:
    """One shard to prove."""

    shard: ShardUnit

    @property
    def path(self) -> Path:
        """What was found; only good for the file whose size and time it names."""
        return self.shard.folder / f".{self.shard.file.name}.proof.json"

    @property
    def size(self) -> int:
        """Episodes in it."""
        return self.shard.size

    def run(self) -> None:
        """Reads the shard and writes what is wrong with it."""
        state = _state(self.shard.file)
        problems, sha256 = prove(self.shard)
        found = {"problems": problems[:_MOST_PROBLEMS], "sha256": sha256}
        atomic_write(self.path, json.dumps({**found, "state": state}))

    def problems(self) -> list[str]:
        """Returns what was found, after `run`."""
        found: list[str] = self._found()["problems"]
        return found

    def sha256(self) -> str:
        """Returns the digest of the file's bytes, as they were when it was proven."""
        return str(self._found()["sha256"])

    def _found(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.read_text())
        return found

    def forget_if_stale(self) -> None:
        """Removes a proof of a file that was changed since."""
        try:
            if self._found()["state"] == _state(self.shard.file):
                return
        except (OSError, ValueError, KeyError):
            pass  # No proof, or none that can be read: there is none to keep.
        self.path.unlink(missing_ok=True)


def _state(path: Path) -> list[int]:
    if not path.exists():
        return []
    state = path.stat()
    return [state.st_size, state.st_mtime_ns, state.st_ino]


def prove(unit: ShardUnit) -> tuple[list[str], str]:
    """Reads a shard back; returns a sentence for everything wrong, and its SHA-256."""
    digest = hashlib.sha256()
    try:
        if _is_as_planned(unit, digest.update):
            return [], digest.hexdigest()
    except (OSError, ValueError, KeyError):
        pass  # Told below, with all that there is to tell.
    problems = shard_problems(unit) or [f"{unit.file.name} changed while it was read"]
    return problems, ""


def _is_as_planned(unit: ShardUnit, seen: Callable[[bytes], None]) -> bool:
    """Compares plan, manifest and shard, one record at a time."""
    count = 0
    told = zip_longest(
        unit.rows(_PROVEN_BY),
        manifest_digests(unit.path),
        shard_records(unit.file, seen),
    )
    for row, listed, found in told:
        if row is None or listed is None or found is None:
            return False
        digest = record_digest(found[1])
        if digest != listed:
            return False
        if _is_copy(unit, row):
            if digest != row["record_digest"]:
                return False
        elif content_id(found[1], unit.spec) != row["episode_id"]:
            return False
        count += 1
    return count == unit.count


def _is_copy(unit: ShardUnit, row: Mapping[str, Any]) -> bool:
    return unit.sources[row["source"]].is_version and not row["relabelled"]


def shard_problems(unit: ShardUnit) -> list[str]:
    """Returns a sentence for everything in a shard that the plan does not say."""
    try:
        listed = list(manifest_digests(unit.path))
    except (OSError, ValueError, KeyError) as error:
        return [f"{unit.path.name} cannot be read ({error})"]
    planned, copied, all_copied = _planned(unit)
    if len(planned) != unit.count:
        return [f"the plan holds {len(planned)} of the shard's {unit.count} episodes"]
    try:
        found, digests = _contents(unit, copied, all_copied)
    except (OSError, ValueError) as error:
        return [str(error)]
    if found != planned:
        return _differences(planned, found)
    if listed != digests:
        return [f"{unit.file.name} is not the file that its manifest describes"]
    return []


def _planned(unit: ShardUnit) -> tuple[list[str], dict[str, str], bool]:
    """Returns the planned ids, copies' ids by digest, and whether all are copies."""
    planned: list[str] = []
    copied: dict[str, str] = {}
    all_copied = True
    for row in unit.rows(_PROVEN_BY):
        planned.append(row["episode_id"])
        if _is_copy(unit, row):
            copied[row["record_digest"]] = row["episode_id"]
        else:
            all_copied = False
    return planned, copied, all_copied


def _contents(
    unit: ShardUnit, copied: Mapping[str, str], all_copied: bool
) -> tuple[list[str], list[str]]:
    """Returns the ids that a shard's records really have, and the records' digests.

    Args:
      unit: The shard.
      copied: Ids of records that are copies, by their digest.
      all_copied: Whether it holds nothing else.
    """
    ids, digests = [], []
    for _, record in shard_records(unit.file):
        digest = record_digest(record)
        digests.append(digest)
        if digest in copied:
            ids.append(copied[digest])
        elif all_copied:
            ids.append(f"a foreign record that calls itself {record_id(record)}")
        else:
            ids.append(content_id(record, unit.spec))
    return ids, digests


def _differences(planned: Sequence[str], found: Sequence[str]) -> list[str]:
    missing, foreign = (
        Counter(planned) - Counter(found),
        Counter(found) - Counter(planned),
    )
    problems = [f"{name} is missing" for name in sorted(missing)]
    problems += [
        f"{name} is there twice" if name in planned else f"{name} was never planned"
        for name in sorted(foreign)
    ]
    if not problems:
        pairs = enumerate(zip_longest(planned, found))
        place = next(i for i, (want, got) in pairs if want != got)
        problems = [f"position {place} holds {found[place]}, not {planned[place]}"]
    return problems
