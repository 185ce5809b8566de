"""A reader that dies, hangs, eats memory or errs, as the field that is asked says.

A field 'abort@7' dies over episode 7 alone; 'large@7' makes a large segment of it. The
option `listing` has the listing do the same where episode 7 would be listed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from thresher.episodes.errors import UserError
from thresher.episodes.images import EncodedImages
from thresher.episodes.spec import Column
from thresher.pipelines.ingest.guarded_table import GuardedTable
from thresher.pipelines.ingest.recording import (
    Contents,
    DamagedRecordingError,
    FieldInfo,
    Segment,
    SegmentPointer,
    Stream,
)
from thresher.pipelines.ingest.table_rules import Budget

TIMES = np.array([0, 5, 7], dtype=np.int64)
ERRORS = {
    "damaged": DamagedRecordingError("it is damaged"),
    "user": UserError("no such field"),
    "fault": ZeroDivisionError("ours"),
}


class UnrulyReader:
    format = "unruly"

    def __init__(self, path: Path, options: Mapping[str, str]) -> None:
        self.path = path
        self._how, _, self._where = options.get("listing", "").partition("@")

    @staticmethod
    def recognises(path: Path) -> bool:
        return path.suffix == ".unruly"

    def contents(self) -> Contents:
        fields = (FieldInfo("a", "float", (2,)), FieldInfo("b", "?", None))
        return Contents(self.format, fields, 1200, ("a note",), ("x",))

    def pointers(self) -> Iterator[SegmentPointer]:
        for number in range(1200):
            if self._where == str(number):
                self._misbehave(self._how)
            yield SegmentPointer(f"episode {number}", number)

    def read(self, pointer: SegmentPointer, fields: Sequence[str]) -> Segment:
        large = 0
        for field in fields:
            how, _, where = field.partition("@")
            if not where or pointer.position == f"episode {where}":
                self._misbehave(how)
                large = large or (20 << 20) * (how == "large")
        texts = np.empty((3, 2), dtype=object)
        texts[:] = [["a", "ø"], ["", "\n"], ["b", "\ud7ff"]]
        columns: dict[str, Column] = {
            "numbers": np.arange(6, dtype=">f4").reshape(3, 2),
            "empty": np.zeros((3, 0)),
            "none": np.zeros((0, 4), np.int32),
            "truths": np.array([True, False, True]),
            "texts": texts,
            "images": EncodedImages((b"one", b"", b"three"), "png"),
            "no_images": EncodedImages((), "jpeg"),
            "own": np.full((3, 2), pointer.rows, np.int64),
            "wide": np.full((1, 1 + large), pointer.rows, np.uint8),
        }
        streams = {n: Stream(TIMES[: len(c)], c) for n, c in columns.items()}
        return Segment(pointer.position, streams, {"success": True, "x": [1.5, "t"]})

    def _misbehave(self, how: str) -> None:
        if how == "abort":
            os.abort()
        elif how == "leave":
            os._exit(3)
        elif how == "hang":
            time.sleep(1000)
        elif how == "slow":
            for _ in range(8):
                time.sleep(0.6)
                Budget(self.path, "").spend(0, "a step further")
        elif how == "memory":
            np.ones(20 << 30, dtype=np.uint8)
        elif how in ERRORS:
            raise ERRORS[how]
        elif how == "print":
            os.write(1, b"libraries print to standard output\n")


class UnrulyTable(GuardedTable):
    format = "unruly"
    reader = UnrulyReader
