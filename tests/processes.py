"""Questions about processes that may end while they are asked."""

from __future__ import annotations

import psutil


def command_of(process: psutil.Process) -> list[str]:
    """Returns a process's command line; empty for one that has ended."""
    try:
        words: list[str] = process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []
    return words
