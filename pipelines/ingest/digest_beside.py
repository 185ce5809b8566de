"""The digest of a recording, computed while it is read: the disk gives each byte once.

A thread walks the files ahead of the reader and never far: what it fetches is in the
page cache when the reader comes to it. Hashing first would read a recording larger
than memory from the disk twice, and make its reader wait for minutes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Optional

from thresher.episodes.files import blocks_of
from thresher.pipelines.ingest.sources import digest_of

# How far ahead of the reader: a small part of any memory, since what was fetched and
# not yet used is what a full cache drops first.
LEAD_BYTES = 32 << 20
_WAIT_SECONDS = 0.02


class DigestBeside:
    """Hashes a recording in a thread; use as a context manager.

    Args:
      path: The recording.
      bytes_read: Returns about how many of its bytes the reader has read.
    """

    def __init__(self, path: Path, bytes_read: Callable[[], int]) -> None:
        self._path = path
        self._bytes_read = bytes_read
        self._hashed = 0
        self._digest = ""
        self._error: Optional[Exception] = None
        self._hurry = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> DigestBeside:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._hurry.set()
        self._thread.join()

    def result(self) -> str:
        """Returns the SHA-256, as `digest_of` does; the reader is done.

        Raises:
          OSError: A file cannot be read.
        """
        self._hurry.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._digest

    def _run(self) -> None:
        try:
            self._digest = digest_of(self._path, self._blocks)
        # Whatever it is, it is raised in the thread that asks for the digest.
        except Exception as error:  # noqa: BLE001
            self._error = error

    def _blocks(self, file: Path) -> Iterator[bytes]:
        if self._stop.is_set():
            return
        for block in blocks_of(file):
            yield block
            self._hashed += len(block)
            while self._is_far_ahead():
                self._hurry.wait(_WAIT_SECONDS)
            if self._stop.is_set():
                return

    def _is_far_ahead(self) -> bool:
        if self._hurry.is_set():
            return False
        return self._hashed > self._bytes_read() + LEAD_BYTES
