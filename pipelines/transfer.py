"""Copies a sealed version to or from anywhere that fsspec reaches, whole or not at all.

Every file is checked against its digest on the way. What says that a version is sealed,
`checksums.json`, is written last, so a copy that was interrupted is never taken for a
version; the same command goes on with the files that are missing.
"""

from __future__ import annotations

import hashlib
from typing import Any

from thresher.episodes.errors import UserError
from thresher.episodes.progress import progress
from thresher.episodes.version import CHECKSUMS
from thresher.pipelines.verify import read_checksums

_BLOCK_BYTES = 4 << 20


class _Place:
    """A folder somewhere: on a disk, in a bucket, on a hub."""

    def __init__(self, url: str) -> None:
        import fsspec

        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise UserError(
                f"{url} cannot be reached: {error}; install what its protocol needs, "
                "such as gcsfs for gs:// or s3fs for s3://"
            ) from error
        self.url = url

    def path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def size(self, name: str) -> int:
        """Returns a file's bytes; -1 where there is none."""
        try:
            return int(self._files.info(self.path(name))["size"])
        except (FileNotFoundError, NotADirectoryError):
            return -1

    def open(self, name: str, mode: str) -> Any:
        return self._files.open(self.path(name), mode)

    def make(self) -> None:
        self._files.makedirs(self._root, exist_ok=True)

    def move(self, name: str, to: str) -> None:
        self._files.mv(self.path(name), self.path(to))


def copy_version(source: str, target: str) -> int:
    """Copies a sealed version.

    Args:
      source: A folder, or an address such as gs://bucket/name/1.0.0.
      target: Likewise; becomes the version's folder.

    Returns:
      The number of files that were copied; those that were there are not.

    Raises:
      UserError: The source is no sealed version, or damaged, with the file; another
        version is at the target; either cannot be reached.
    """
    here, there = _Place(source), _Place(target)
    text = _read(here, CHECKSUMS)
    if text is None:
        raise UserError(f"{source} holds no {CHECKSUMS}: it is no sealed version")
    sealed = read_checksums(text.decode())
    found = _read(there, CHECKSUMS)
    if found is not None and found != text:
        raise UserError(
            f"another version is at {target}; versions never change: choose another "
            "place"
        )
    there.make()
    missing = {
        name: facts
        for name, facts in sealed.items()
        if there.size(name) != facts["bytes"]
    }
    total = sum(facts["bytes"] for facts in missing.values())
    with progress("copy (bytes)", total) as bar:
        for name, facts in missing.items():
            _copy(here, there, name, facts)
            bar.advance(by=facts["bytes"])
    if found is None:
        with there.open(CHECKSUMS, "wb") as file:
            file.write(text)
    return len(missing)


def _read(place: _Place, name: str) -> bytes | None:
    try:
        with place.open(name, "rb") as file:
            content: bytes = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{place.url} cannot be read: {error}") from error
    return content


def _copy(here: _Place, there: _Place, name: str, facts: dict[str, Any]) -> None:
    """Copies one file under another name, and gives it its own when it is proven."""
    digest = hashlib.sha256()
    part = f".{name}.part"
    try:
        with here.open(name, "rb") as source, there.open(part, "wb") as target:
            while block := source.read(_BLOCK_BYTES):
                digest.update(block)
                target.write(block)
    except FileNotFoundError as error:
        raise UserError(f"{here.url} is damaged: {name} is missing") from error
    except OSError as error:
        raise UserError(
            f"{name} cannot be copied from {here.url} to {there.url}: {error}; mend "
            "that, and the same command goes on"
        ) from error
    if digest.hexdigest() != facts["sha256"]:
        raise UserError(
            f"{name} of {here.url} is not as it was sealed; `thresher verify` tells "
            "what is damaged"
        )
    there.move(part, name)
