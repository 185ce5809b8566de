"""What tests of table readers share: samples beside the project, and small checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thresher.episodes.images import EncodedImages
from thresher.pipelines.ingest.recording import EpisodeTable, Segment

DATA = Path(__file__).parent / "data"
SAMPLES = Path(__file__).parents[4] / "shared" / "data"


def sample(name: str) -> Path:
    """Returns a real recording beside the project; skips the test without it."""
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"there is no {path}: real recordings are kept beside the project")
    return path


def all_fields(table: EpisodeTable) -> list[str]:
    return [f.name for f in table.contents().fields if f.type != "not read"]


def read_all(table: EpisodeTable) -> list[Segment]:
    fields = all_fields(table)
    return [table.read(pointer, fields) for pointer in table.pointers()]


def values(segment: Segment, name: str) -> np.ndarray:
    """Returns a field's values, pictures as pixels."""
    column = segment.streams[name].values
    return column.decode() if isinstance(column, EncodedImages) else column


def assert_equal(segment: Segment, name: str, wanted: Any) -> None:
    np.testing.assert_array_equal(values(segment, name), wanted)
