"""A folder somewhere: on a disk, in a bucket, on a hub."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, Optional

from thresher.episodes.errors import UserError

_BLOCK_BYTES = 4 << 20


class Place:
    """A folder that fsspec reaches, and the plain files right in it.

    Attributes:
      url: As it was given.
    """

    def __init__(self, url: str) -> None:
        """Finds out how to reach a folder, which need not be there.

        Raises:
          UserError: It is not named, or its protocol is not known.
        """
        import fsspec

        if not url.strip():
            raise UserError("an empty name is no folder; write '.' for the current one")
        try:
            self._files, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise UserError(
                f"{url} cannot be reached: {error}; install what its protocol needs, "
                "such as gcsfs for gs:// or s3fs for s3://"
            ) from error
        is_local = "file" in self._files.protocol
        self._root = root.rstrip("/") or root
        self._real = os.path.realpath(root) if is_local else self._root
        self.url = url

    def overlaps(self, other: Place) -> bool:
        """Whether one of the folders is, or lies in, the other."""
        if type(self._files) is not type(other._files):
            return False
        short, long = sorted((self._real, other._real), key=len)
        return f"{long}/".startswith(f"{short.rstrip('/')}/")

    def entries(self) -> dict[str, str]:
        """Returns what is in the folder, by name: '' for a file, else what it is.

        Raises:
          UserError: The folder cannot be read, or is a file.
        """
        self._files.invalidate_cache()
        with self._telling():
            try:
                if self._files.info(self._root)["type"] != "directory":
                    raise UserError(f"{self.url} is no folder; choose another place")
                found = self._files.ls(self._root, detail=True)
            except FileNotFoundError:
                return {}
        # Buckets may list a folder in itself.
        inside = [i for i in found if i["name"].rstrip("/") != self._root]
        return {i["name"].rstrip("/").rsplit("/", 1)[-1]: _kind(i) for i in inside}

    def size(self, name: str) -> Optional[int]:
        """Returns a file's bytes; None where the place does not say.

        Raises:
          FileNotFoundError: There is nothing of that name.
          ValueError: It is a link, a pipe, a folder: no plain file.
        """
        with self._telling():
            try:
                info = self._files.info(self._path(name))
            except NotADirectoryError as error:
                raise FileNotFoundError(name) from error
        if _kind(info):
            raise ValueError(_kind(info))
        size = info.get("size")
        return None if size is None else int(size)

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yields a file's bytes, a few mebibytes at a time."""
        with self._telling(), self._files.open(self._path(name), "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block

    def write(self, name: str, blocks: Iterator[bytes]) -> str:
        """Writes a new file; returns the SHA-256 of what was written."""
        digest = hashlib.sha256()
        self.remove(name)
        with self._telling(), self._files.open(self._path(name), "wb") as file:
            for block in blocks:
                digest.update(block)
                file.write(block)
        return digest.hexdigest()

    def make(self) -> None:
        """Makes the folder, and those above it."""
        with self._telling():
            self._files.makedirs(self._root, exist_ok=True)

    def move(self, name: str, to: str) -> None:
        """Gives a file another name, in the place of what had it."""
        with self._telling():
            self._files.mv(self._path(name), self._path(to))

    def remove(self, name: str) -> None:
        """Removes a file, or a link but not what it leads to, if there is one."""
        with self._telling(), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Says of which place a system's error is."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise UserError(
                f"{self.url} cannot be used: {error}; mend that, or choose another "
                "place; the same command goes on"
            ) from error


def _kind(info: Mapping[str, Any]) -> str:
    if info.get("islink") or info["type"] == "link":
        return "is a link to somewhere else"
    return "" if info["type"] == "file" else "is no plain file"
