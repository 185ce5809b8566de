"""A sealed dataset version on disk, opened for reading."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from thresher.episodes.errors import UserError
from thresher.episodes.files import require_plain
from thresher.episodes.index import INDEX_SCHEMA, read_index
from thresher.episodes.spec import EpisodeSpec

CHECKSUMS = "checksums.json"
CROISSANT = "croissant.json"
EPISODES = "episodes.parquet"
INGEST = "ingest.json"
LINEAGE = "lineage.json"
PICTURE = "episodes.png"
SPEC = "spec.json"
STATISTICS = "statistics.json"
SUMMARIES = "summaries.parquet"
EXCLUDED = "excluded.parquet"
_SIDE_FILES = (
    *(CHECKSUMS, CROISSANT, EPISODES, EXCLUDED, INGEST),
    *(LINEAGE, SPEC, STATISTICS, SUMMARIES),
)
# The lineage of a million raw logs takes some 200 MB.
_MOST_SIDE_BYTES = 1 << 30
_WRONG_CONTENT = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    pa.ArrowException,
)


@dataclasses.dataclass(frozen=True)
class Version:
    """A version whose seal is there.

    Attributes:
      path: Its folder: <data_dir>/<name>/<version>.
      name: The dataset's name.
      version: 'major.minor.patch'.
      digest: SHA-256 of its checksums, and so of everything in it.
      spec: What its episodes are.
      lineage: lineage.json.
    """

    path: Path
    name: str
    version: str
    digest: str
    spec: EpisodeSpec
    lineage: dict[str, Any]

    @functools.cached_property
    def index(self) -> pa.Table:
        """episodes.parquet: one row an episode; all of it, in memory.

        Raises:
          UserError: It cannot be read.
        """
        return self.columns(None)

    @functools.cached_property
    def statistics(self) -> dict[str, Any]:
        """statistics.json: by split and feature; empty where there is none."""
        path = self.path / STATISTICS
        with side_files(self.path):
            if not path.exists():
                return {}
            found: dict[str, Any] = json.loads(_text(path))
        return found

    @property
    def excluded(self) -> pa.Table:
        """excluded.parquet: the quarantine, with 'stage' and 'reason'.

        Raises:
          UserError: It cannot be read.
        """
        with side_files(self.path):
            require_plain(self.path / EXCLUDED)
            return read_index(self.path / EXCLUDED)

    @property
    def column_names(self) -> list[str]:
        """What episodes.parquet says of an episode.

        Raises:
          UserError: It cannot be read.
        """
        with side_files(self.path):
            require_plain(self.path / EPISODES)
            names: list[str] = pq.read_schema(self.path / EPISODES).names
            return names

    def columns(self, names: Sequence[str] | None) -> pa.Table:
        """Returns some columns of the index, or, for None, all of them.

        Raises:
          UserError: They cannot be read.
        """
        with side_files(self.path):
            require_plain(self.path / EPISODES)
            require_plausible_rows(self.path)
            table = read_index(self.path / EPISODES, names)
            _require_kinds(table)
            return table


def open_version(path: Path) -> Version:
    """Opens a sealed version.

    Raises:
      UserError: There is no such folder, or it was never sealed, or its side files
        cannot be read.
    """
    if not path.is_dir():
        raise UserError(
            f"there is no dataset version at {path}; give the folder that holds "
            f"{CHECKSUMS}, such as data/datasets/bin_grasping/1.0.0"
        )
    missing = [
        name
        for name in (CHECKSUMS, EPISODES, LINEAGE, SPEC)
        if not (path / name).exists()
    ]
    if missing:
        raise UserError(
            f"{path} is not a sealed version: {', '.join(missing)} missing; finish it "
            "by running the same `tfds build` again"
        )
    with side_files(path):
        for name in _SIDE_FILES:
            if (path / name).exists():
                require_plain(path / name)
        lineage = json.loads(_text(path / LINEAGE))
        name = lineage.get("recipe", {}).get("name", path.parent.name)
        if not isinstance(name, str):
            raise TypeError(f"the name {name!r:.80} is no text")
        return Version(
            path=path,
            name=name,
            version=path.name,
            digest=hashlib.sha256(_bytes(path / CHECKSUMS)).hexdigest(),
            spec=EpisodeSpec.from_json(_text(path / SPEC)),
            lineage=lineage,
        )


@contextlib.contextmanager
def side_files(path: Path | str) -> Iterator[None]:
    """Makes whatever goes wrong with the content of side files one message.

    A folder may come from anywhere, or from a dying disk. Whoever reads what its side
    files say does so inside this block: a value that is not there, or is not what the
    seal writes, is the folder's fault.

    Args:
      path: The version's folder.

    Raises:
      UserError: Names the folder, what was wrong, and how to find out more.
    """
    try:
        yield
    except _WRONG_CONTENT as error:
        told = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(
            f"the side files of {path} are damaged ({told[:400]}); `thresher verify "
            f"{path}` says which; restore the version from a good copy"
        ) from error


def require_plausible_rows(path: Path) -> None:
    """Refuses an index of a few bytes that unpacks to more rows than memory has.

    Ids, digests and offsets differ from row to row, and take some bytes each, however
    well they are packed.

    Raises:
      ValueError: The version's index is too small for so many rows.
    """
    index = path / EPISODES
    rows, size = pq.read_metadata(index).num_rows, index.stat().st_size
    if rows > size:
        raise ValueError(f"{rows:,} episodes in an index of {size:,} bytes")


def _require_kinds(table: pa.Table) -> None:
    """Refuses columns of an index that hold what no seal writes there."""
    for field in table.schema:
        place = INDEX_SCHEMA.get_field_index(field.name)
        if place >= 0 and _kind(field.type) != _kind(INDEX_SCHEMA.field(place).type):
            raise TypeError(f"the column {field.name!r} holds {field.type}")
        if field.name == "episode_id" and table[field.name].null_count:
            raise ValueError("an episode has no id")


def _kind(found: pa.DataType) -> str:
    """Returns what values of a type are; versions of other makers may be wider."""
    if pa.types.is_integer(found) or pa.types.is_floating(found):
        return "numbers"
    if pa.types.is_string(found) or pa.types.is_large_string(found):
        return "texts"
    return "lists" if pa.types.is_nested(found) else str(found)


def _bytes(path: Path) -> bytes:
    require_plain(path)
    size = path.stat().st_size
    if size > _MOST_SIDE_BYTES:
        raise ValueError(f"{path.name} has {size:,} bytes")
    return path.read_bytes()


def _text(path: Path) -> str:
    return _bytes(path).decode()
