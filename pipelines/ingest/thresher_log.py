"""Reads Thresher's own raw logs."""

from __future__ import annotations

from thresher.episodes.raw_log import SUFFIX, RawLogReader


class ThresherLogReader(RawLogReader):
    """A raw log as one of many formats."""

    suffix = SUFFIX
    converter = "thresher.raw_log"
