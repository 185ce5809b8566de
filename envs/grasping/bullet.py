"""Bullet, imported without the line that it prints on standard output."""

from __future__ import annotations

import ctypes
import os
import sys


def _import_quietly() -> None:
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        import pybullet  # noqa: F401
    finally:
        # The line waits in C's own buffer: it must leave before the output is back.
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


_import_quietly()

import pybullet as pybullet  # noqa: E402
