"""One at a time: whoever works in a folder holds its lock, and others are told so."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from thresher.episodes.errors import UserError


@contextlib.contextmanager
def only_one(lock: Path, what: str) -> Iterator[None]:
    """Holds the lock of a folder.

    Args:
      lock: The lock's file; its folder is there.
      what: The work, as in 'another build is at work'.

    Raises:
      UserError: Another holds it, or has just removed the folder.
    """
    try:
        file = open(lock, "w")  # noqa: SIM115  # closed below
    except FileNotFoundError as error:
        raise _just_ended(lock, what) from error
    with file:
        try:
            # The system lets go of the lock when its holder dies, however it dies.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"another {what} is at work in {lock.parent}; wait for it, or stop it"
            ) from error
        # A lock in a folder that its last holder has removed keeps nobody out.
        if not _is_at(lock, file.fileno()):
            raise _just_ended(lock, what)
        yield


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _just_ended(lock: Path, what: str) -> UserError:
    return UserError(
        f"another {what} in {lock.parent} has just ended; run this one again"
    )
