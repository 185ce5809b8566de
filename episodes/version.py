"""A sealed dataset version on disk, opened for reading."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from thresher.episodes.errors import UserError
from thresher.episodes.index import read_index
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
        try:
            found: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise _damaged(self.path, error) from error
        return found

    @property
    def excluded(self) -> pa.Table:
        """excluded.parquet: the quarantine, with 'stage' and 'reason'.

        Raises:
          UserError: It cannot be read.
        """
        try:
            return read_index(self.path / EXCLUDED)
        except (OSError, ValueError) as error:
            raise _damaged(self.path, error) from error

    def columns(self, names: Sequence[str] | None) -> pa.Table:
        """Returns some columns of the index, or, for None, all of them.

        Raises:
          UserError: They cannot be read.
        """
        try:
            return read_index(self.path / EPISODES, names)
        except (OSError, ValueError) as error:
            raise _damaged(self.path, error) from error


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
    try:
        lineage = json.loads((path / LINEAGE).read_text())
        return Version(
            path=path,
            name=lineage.get("recipe", {}).get("name", path.parent.name),
            version=path.name,
            digest=hashlib.sha256((path / CHECKSUMS).read_bytes()).hexdigest(),
            spec=EpisodeSpec.from_json((path / SPEC).read_text()),
            lineage=lineage,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"the side files of {path} are damaged ({error}); restore the version from a "
        "good copy"
    )
