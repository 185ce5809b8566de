"""Where things that can be made again are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "THRESHER_CACHE"


def cache_folder() -> Path:
    """Returns $THRESHER_CACHE, or ~/.cache/thresher where that is not set."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen) if chosen else Path.home() / ".cache" / "thresher"
