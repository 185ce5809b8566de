"""Bullet, imported without the line that it prints."""

from __future__ import annotations

import os
import sys
from typing import Any


def _imported_quietly() -> Any:
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import pybullet

        return pybullet
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


pybullet = _imported_quietly()
