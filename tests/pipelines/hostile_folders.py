"""Dataset folders as an attacker, or a dying disk, would leave them.

Each function changes a sealed version's folder; `reseal` makes its checksums agree with
that again, as an attacker would.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Union

import google_crc32c
import pyarrow as pa
import pyarrow.parquet as pq

from thresher.episodes.files import sha256_file
from thresher.episodes.version import CHECKSUMS, EPISODES, LINEAGE, SUMMARIES

DEEP = "[" * 100_000
HUGE = 2**62


def reseal(folder: Path) -> None:
    """Writes checksums that agree with what is in the folder."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in folder.iterdir()
        if path.is_file() and path.name not in (CHECKSUMS, "run.json")
    }
    write_checksums(folder, files)


def write_checksums(folder: Path, files: Any) -> None:
    """Writes checksums as the seal lays them out, whatever they say."""
    text = json.dumps({"files": files}, indent=1, sort_keys=True) + "\n"
    (folder / CHECKSUMS).write_text(text)


def checksums(folder: Path) -> dict[str, Any]:
    """Returns what the seal wrote."""
    files: dict[str, Any] = json.loads((folder / CHECKSUMS).read_text())["files"]
    return files


def shard_of(folder: Path) -> Path:
    """Returns a shard of the training split."""
    return sorted(folder.glob("*train*-of-*"))[0]


def with_column(name: str, value: Any, file: str = EPISODES) -> Callable[[Path], None]:
    """Returns an attack that has one value in every row of a column."""

    def attack(folder: Path) -> None:
        table = pq.read_table(folder / file)
        kind = table.schema.field(name).type if _fits(value, table, name) else None
        column = pa.array([value] * table.num_rows, kind)
        place = table.column_names.index(name)
        pq.write_table(table.set_column(place, name, column), folder / file)

    return attack


def _fits(value: Any, table: pa.Table, name: str) -> bool:
    kind = table.schema.field(name).type
    return value is None or (isinstance(value, str) == pa.types.is_string(kind))


def without_column(name: str) -> Callable[[Path], None]:
    """Returns an attack that leaves a column of the index out."""

    def attack(folder: Path) -> None:
        table = pq.read_table(folder / EPISODES)
        pq.write_table(table.drop_columns([name]), folder / EPISODES)

    return attack


def with_lineage(**changes: Any) -> Callable[[Path], None]:
    """Returns an attack that changes or removes (None) keys of the lineage."""

    def attack(folder: Path) -> None:
        lineage = json.loads((folder / LINEAGE).read_text())
        lineage.update(changes)
        kept = {key: value for key, value in lineage.items() if value is not None}
        (folder / LINEAGE).write_text(json.dumps(kept))

    return attack


def with_file(name: str, content: bytes | str) -> Callable[[Path], None]:
    """Returns an attack that has other content in a file."""

    def attack(folder: Path) -> None:
        data = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(data)

    return attack


def cut(name: str, share: float) -> Callable[[Path], None]:
    """Returns an attack that cuts a file off."""

    def attack(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * share)])

    return attack


def replaced(name: str, make: Callable[[Path], None]) -> Callable[[Path], None]:
    """Returns an attack that has something else in the place of a file."""

    def attack(folder: Path) -> None:
        path = shard_of(folder) if name == "shard" else folder / name
        path.unlink()
        make(path)

    return attack


def link_to(target: str) -> Callable[[Path], None]:
    """Returns what makes a symbolic link."""
    return lambda path: path.symlink_to(target)


def with_many_rows(folder: Path) -> None:
    """Has an index of a sixteen million rows in a few kilobytes."""
    count = 1 << 24
    table = pq.read_table(folder / EPISODES).slice(0, 1)
    columns = {}
    for name in table.column_names:
        one = table[name].combine_chunks()
        value = one[0] if len(one) else None
        columns[name] = pa.repeat(value, count) if _repeats(one.type) else None
    columns = {name: column for name, column in columns.items() if column is not None}
    pq.write_table(pa.table(columns), folder / EPISODES, compression="zstd")


def _repeats(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def with_record_of_huge_length(folder: Path) -> None:
    """Has a shard whose first head says it holds 2**62 bytes, with a good checksum."""
    length = struct.pack("<Q", HUGE)
    crc = google_crc32c.value(length)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    data = shard_of(folder).read_bytes()
    shard_of(folder).write_bytes(length + struct.pack("<I", masked) + data[12:])


def with_parent_that_is_itself(folder: Path) -> None:
    """Has a lineage that names the version as its own parent, in a circle."""
    digest = "0" * 64
    parent = {
        "source": f"{folder.parent.name}/{folder.name}",
        "name": "tiny",
        "version": folder.name,
        "digest": digest,
    }
    with_lineage(parents=[parent, parent, parent])(folder)


def fifo(path: Path) -> None:
    """Makes a pipe that nobody writes to: whoever opens it waits for ever."""
    os.mkfifo(path)


def folder_there(path: Path) -> None:
    """Makes a folder."""
    path.mkdir()


_CONTENTS: dict[str, Union[bytes, str]] = {
    "empty": "",
    "deep": DEEP,
    "a number": "5",
    "a list": "[1]",
    "null": "null",
    "no text": b"\xff\xfe\x00",
    "empty keys": "{}",
    "not finite": '{"features": NaN, "recipe": Infinity, "train": NaN}',
}
_VALUES: tuple[Any, ...] = (None, 5, "text", [5], [{}], {"a": 5}, {"a": [{}]})
ATTACKS: dict[str, Callable[[Path], None]] = {
    **{
        f"{name} is {what}": replaced(name, make)
        for name in (EPISODES, LINEAGE, "spec.json", "statistics.json", SUMMARIES)
        for what, make in (
            ("a pipe", fifo),
            ("a folder", folder_there),
            ("a link to nowhere", link_to("nowhere")),
            ("a link to itself", link_to(name)),
            ("endless", link_to("/dev/zero")),
        )
    },
    "a shard is a pipe": replaced("shard", fifo),
    "a shard is a folder": replaced("shard", folder_there),
    "a shard is endless": replaced("shard", link_to("/dev/zero")),
    **{
        f"{name} is {what}": with_file(name, content)
        for name in (LINEAGE, "spec.json", "statistics.json")
        for what, content in _CONTENTS.items()
    },
    **{
        f"lineage has {key} {value!r:.20}": with_lineage(**{key: value})
        for key in (
            *("recipe", "parents", "episodes", "raw_logs", "excluded", "flags"),
            *("rebalanced", "mixed", "inputs", "code_revision", "success_ratio"),
        )
        for value in _VALUES
    },
    "lineage is a circle": with_parent_that_is_itself,
    "index is cut": cut(EPISODES, 0.5),
    "index is empty": with_file(EPISODES, b""),
    "index is a magic word": with_file(EPISODES, b"PAR1PAR1"),
    "index says it has a huge foot": with_file(
        EPISODES, b"PAR1" + b"x" * 40 + b"\xff\xff\xff\x7fPAR1"
    ),
    "index has sixteen million rows": with_many_rows,
    "summaries are cut": cut(SUMMARIES, 0.5),
    "summaries are nonsense": with_column("summary", b"\xff" * 40, SUMMARIES),
    "summaries are nothing": with_column("summary", None, SUMMARIES),
    **{
        f"index has {name} {value!r:.24}": with_column(name, value)
        for name, values in {
            "record_offset": (-1, HUGE, None, "text", 1.5),
            "record_length": (-1, -16, -17, HUGE, 1 << 36, None),
            "record_digest": ("", "x", None),
            "shard_file": ("../../outside", "/etc/passwd", "", "\0", None, "x" * 5000),
            "split": ("../../../x", "", None, "a b", "x" * 5000, 5),
            "episode_id": ("", "zz", "0" * 31, "é" * 32, None, "../x", 5),
            "sampling_weight": (float("nan"), float("inf"), -1.0, None),
            "num_steps": (-1, 2**31 - 1, None, "many"),
            "success": ("maybe", None, ""),
            "length_bytes": (-1, HUGE, None),
            "start_time_ns": (-1, HUGE, None),
            "environment": ("{", "[]", None, DEEP),
            "scene_id": (None, "\0"),
            "near_digest": ("zz", None),
            "num_shards": (-1, None),
        }.items()
        for value in values
    },
    **{
        f"index lacks {name}": without_column(name)
        for name in ("episode_id", "split", "success", "num_steps", "record_length")
    },
    "a head says it holds 2**62 bytes": with_record_of_huge_length,
    "a shard is cut": lambda folder: cut(shard_of(folder).name, 0.5)(folder),
    "a shard is empty": lambda folder: cut(shard_of(folder).name, 0)(folder),
}
