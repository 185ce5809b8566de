"""What a sealed version's index says about records that are read to be converted.

Records that are copied are found by that index. Records that are converted are read
shard by shard, as logs are; here what was read is held against what was sealed, so
that nothing is lost or slipped in on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from thresher.episodes.errors import UserError
from thresher.episodes.files import require_plain
from thresher.episodes.index import ROW_GROUP_ROWS
from thresher.episodes.version import (
    CHECKSUMS,
    EPISODES,
    require_plausible_rows,
    side_files,
)
from thresher.pipelines.sound_rows import require_sound
from thresher.pipelines.verify import read_checksums

# What is added to a row of a parent, and what the parent's index calls it.
PARENT_COLUMNS = {
    "parent_split": "split",
    "parent_weight": "sampling_weight",
    "parent_copy": "copy",
}


class ParentIndex:
    """The index of a sealed version, by shard.

    Attributes:
      shards: Names of the shards that hold its episodes, in order.
    """

    def __init__(self, folder: Path) -> None:
        """Reads a few columns of the index.

        Raises:
          UserError: A side file is damaged, or a shard is missing or was never sealed.
        """
        self._folder = folder
        with side_files(folder):
            require_plain(folder / CHECKSUMS)
            self._sealed = read_checksums((folder / CHECKSUMS).read_text())
            rows = pa.concat_tables(list(_sound_batches(folder)))
        names = np.array(rows["shard_file"].to_pylist(), dtype=np.str_)
        found, numbers = np.unique(names, return_inverse=True)
        offsets = rows["record_offset"].to_numpy()
        order = np.lexsort((offsets, numbers))
        self.shards: list[str] = found.tolist()
        self._offsets = offsets[order]
        self._rows = rows.select(list(PARENT_COLUMNS.values())).take(pa.array(order))
        self._starts = np.searchsorted(numbers[order], np.arange(len(found) + 1))
        for shard in self.shards:
            self._require_there(shard)

    def joined(self, shard: str, read: pa.Table) -> pa.Table:
        """Adds what the version says of its episodes to what was read in one shard.

        Args:
          shard: One of `shards`.
          read: Rows of the index of that file, one a record.

        Raises:
          UserError: The shard is not the one that was sealed; names an episode that is
            lost.
        """
        number = self.shards.index(shard)
        start, stop = self._starts[number : number + 2].tolist()
        digests = set(read["log_digest"].to_pylist())
        if digests != {self._sealed[shard]["sha256"]} or not np.array_equal(
            read["offset"].to_numpy(), self._offsets[start:stop]
        ):
            whole = read.filter(pc.not_equal(read["episode_id"], ""))["offset"]
            lost = np.setdiff1d(self._offsets[start:stop], whole.to_numpy()).tolist()
            raise self._damaged(shard, "is not as it was sealed", lost)
        for name, theirs in PARENT_COLUMNS.items():
            column = self._rows[theirs].slice(start, stop - start)
            read = read.append_column(name, column)
        return read

    def _require_there(self, shard: str) -> None:
        if shard not in self._sealed:
            raise self._damaged(shard, f"is not in its {CHECKSUMS}")
        if not (self._folder / shard).is_file():
            start = self._starts[self.shards.index(shard)]
            raise self._damaged(
                shard, "is missing", self._offsets[start : start + 1].tolist()
            )

    def _damaged(self, shard: str, why: str, lost: Sequence[int] = ()) -> UserError:
        """Returns what is told of a damaged shard.

        Args:
          shard: Its name.
          why: What is wrong with it.
          lost: Where the episodes were that can no longer be read, if that is known.
        """
        episode = "its episodes"
        if lost:
            names = ["episode_id", "shard_file", "record_offset"]
            with side_files(self._folder):
                rows = pq.read_table(self._folder / EPISODES, columns=names)
            mine = rows.filter(pc.equal(rows["shard_file"], shard))
            place = pc.index(mine["record_offset"], lost[0]).as_py()
            episode = f"episode {mine['episode_id'][place].as_py()}"
        return UserError(
            f"{episode} cannot be converted: {shard} of {self._folder} {why}; "
            f"`thresher verify {self._folder}` tells what is damaged; restore it from "
            "a good copy"
        )


def _sound_batches(folder: Path) -> Iterator[pa.Table]:
    require_plain(folder / EPISODES)
    require_plausible_rows(folder)
    wanted = ["shard_file", "record_offset", *PARENT_COLUMNS.values()]
    for batch in pq.ParquetFile(folder / EPISODES).iter_batches(ROW_GROUP_ROWS):
        table = pa.Table.from_batches([batch])
        require_sound(table, str(folder))
        yield table.select(wanted)
