"""Files that are either whole or absent, and how we know what is in them."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from thresher.episodes.errors import UserError

_READ_BYTES = 1 << 20
# Of renameat2(2).
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
# A drive's letter is none, nor is a name with a colon inside.
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]+:")


def atomic_write(path: Path, content: bytes | str) -> None:
    """Writes a file so that readers see the old content or the new, never a part.

    Args:
      path: Where the content goes; missing parent folders are made.
      content: Bytes, or text that is written as UTF-8.
    """
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a dataset is there to be shared.
        os.chmod(scratch, 0o666 & ~_umask())
        os.replace(scratch, path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def scratch_beside(path: Path) -> Path:
    """Returns a hidden name beside a file that nobody else uses, on any machine.

    Process numbers are not enough: machines that share a folder have the same ones.
    """
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.part")


def exchange(one: Path, other: Path) -> None:
    """Swaps two folders in one step: whoever looks finds one or the other at each name.

    Linux can; where a file system cannot (NFS), `other` is missing for a moment between
    three renames.

    Raises:
      OSError: A folder is not there, or they are on two file systems.
    """
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        failed = errno.ENOSYS
    else:
        names = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other))
        failed = ctypes.get_errno() if rename(*names, _RENAME_EXCHANGE) else 0
    if failed in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
        aside = scratch_beside(one)
        other.rename(aside)
        one.rename(other)
        aside.rename(one)
    elif failed:
        raise OSError(failed, os.strerror(failed), str(one), None, str(other))


def require_plain(path: Path) -> None:
    """Refuses what is not there, and pipes and devices, which never end.

    Raises:
      ValueError: It is no plain file.
    """
    if not path.is_file():
        raise ValueError(f"{path.name} is not there, or is no plain file")


def sha256_file(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    return sha256_blocks(blocks_of(path))


def sha256_blocks(blocks: Iterable[bytes]) -> str:
    """Returns the SHA-256 of bytes that come in blocks, as hexadecimal digits."""
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def blocks_of(path: Path) -> Iterator[bytes]:
    """Yields a file's bytes, a mebibyte at a time."""
    with open(path, "rb") as file:
        while block := file.read(_READ_BYTES):
            yield block


def require_free_space(folder: Path, needed_bytes: int) -> None:
    """Refuses work that would fill the disk, before it starts.

    Args:
      folder: Where the work will be written; need not exist yet.
      needed_bytes: How much it will take.

    Raises:
      UserError: Less than `needed_bytes` are free there.
    """
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < needed_bytes:
        raise UserError(
            f"not enough disk space for {folder}: {needed_bytes:,} bytes are "
            f"needed and {free:,} are free; free some, or choose a folder on another "
            "disk"
        )


def require_writable(folder: Path) -> None:
    """Makes a folder and proves that files can be written in it.

    Raises:
      UserError: It is an address, or the folder cannot be made or written, with the
        system's reason.
    """
    require_local(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"cannot write in {folder}: {error.strerror}; choose another folder or "
            "change its permissions"
        ) from error


def require_local(path: Path) -> None:
    """Refuses an address of a bucket, of which `Path` makes a folder named 's3:'.

    Raises:
      UserError: A part of the path is the beginning of an address.
    """
    scheme = next((part for part in path.parts if _SCHEME.fullmatch(part)), "")
    if scheme:
        address = "/".join(path.parts[path.parts.index(scheme) :])
        raise UserError(
            f"{address} is an address, where a folder is needed: write to a folder of "
            "this machine, or to one that is mounted, then `thresher copy` the sealed "
            "version to the address"
        )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
