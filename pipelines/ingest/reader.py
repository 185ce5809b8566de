"""What every log format's reader offers, and which reader a file belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from thresher.episodes.episode import Episode
from thresher.episodes.errors import UserError
from thresher.episodes.raw_log import EpisodePointer
from thresher.episodes.spec import EpisodeSpec
from thresher.pipelines.ingest.report import REPORTS, listed_logs

# Shards of a sealed version, read in the alignment of OXE.
OXE_SHARDS = "oxe"


class LogReader(Protocol):
    """Lists a log's episodes cheaply and reads one by its pointer.

    Attributes:
      converter: Name of what makes episodes of the format.
      spec: What the episodes are.
      truncated: After listing: whether the end of the log is missing.
    """

    converter: str
    spec: EpisodeSpec
    truncated: bool

    def pointers(self) -> Iterator[EpisodePointer]:
        """Yields where each episode is; raises UserError where the log is damaged."""
        ...

    def read(self, pointer: EpisodePointer) -> Episode:
        """Returns one episode; raises UserError where its bytes are damaged."""
        ...


def open_log(path: Path, reader: str = "") -> LogReader:
    """Returns the reader of a log file.

    Args:
      path: The log.
      reader: How to read it, where the file alone does not say: `OXE_SHARDS`.

    Raises:
      UserError: No reader knows the format, or the file's head is damaged.
    """
    if reader == OXE_SHARDS:
        from thresher.pipelines.ingest.version_shard import OxeShardReader

        return OxeShardReader(path)
    from thresher.pipelines.ingest.thresher_log import ThresherLogReader

    if path.suffix == ThresherLogReader.suffix:
        return ThresherLogReader(path)
    raise UserError(
        f"no reader knows {path.name!r}: raw logs end in {ThresherLogReader.suffix!r}; "
        "other recordings need a mapping (`thresher ingest`)"
    )


def find_logs(root: Path) -> list[Path]:
    """Returns every log below a folder, by name, hidden ones left out.

    In the folder of an ingest, those count that its report lists: what an earlier
    ingest of other recordings or by another mapping left there does not.

    Raises:
      UserError: The folder is not there or holds no log, or an ingest was broken off.
    """
    from thresher.pipelines.ingest.thresher_log import ThresherLogReader

    if not root.is_dir():
        raise UserError(
            f"there is no folder {root} with raw logs; collect some with `thresher "
            "collect`, and name the folder with --manual_dir"
        )
    found = sorted(
        path
        for path in root.rglob(f"*{ThresherLogReader.suffix}")
        if not _is_hidden(path, root)
    )
    ingests = {
        reports.parent
        for reports in root.rglob(REPORTS)
        if not _is_hidden(reports.parent, root)
    }
    listed = {log for folder in ingests for log in listed_logs(folder)}
    logs = [log for log in found if log in listed or not ingests & {*log.parents}]
    if not logs:
        raise UserError(
            f"{root} holds no raw log (*{ThresherLogReader.suffix}); name the folder "
            "that `thresher collect` wrote with --manual_dir"
        )
    return logs


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)
