"""Names, sizes and digests of recordings, be they files or folders."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from thresher.episodes.errors import UserError
from thresher.episodes.files import blocks_of, sha256_blocks
from thresher.pipelines.ingest.formats import find_recordings


@dataclasses.dataclass(frozen=True)
class Found:
    """A recording that a source names.

    Attributes:
      path: Where it is.
      name: Its path below its source's root, with slashes: the same on any machine.
    """

    path: Path
    name: str


def find_all(sources: Sequence[Path], format: str = "") -> list[Found]:
    """Returns the recordings of all sources, by name.

    A recording of a folder is named by its path below that folder; one that is named
    itself, by its own name.

    Raises:
      UserError: A source is not there or holds no recording; two recordings would have
        one name.
    """
    found: dict[str, Path] = {}
    for source in sources:
        for path in find_recordings(source, format):
            name = path.relative_to(source).as_posix() if path != source else path.name
            if found.setdefault(name, path) != path:
                raise UserError(
                    f"{found[name]} and {path} would both be named {name!r}; give "
                    "their common folder as the source, or ingest them into two folders"
                )
    return [Found(path, name) for name, path in sorted(found.items())]


def files_of(path: Path) -> list[Path]:
    """Returns the files of a recording, by name."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file())


def size_of(path: Path) -> int:
    """Returns the bytes of a recording."""
    return sum(file.stat().st_size for file in files_of(path))


def state_of(path: Path) -> str:
    """Returns a text that changes when a recording's files do, without reading them."""
    parts = []
    for file in files_of(path):
        state = file.stat()
        name = "" if file == path else file.relative_to(path).as_posix()
        parts.append(f"{name} {state.st_size} {state.st_mtime_ns}")
    return "\n".join(parts)


def digest_of(path: Path, blocks: Callable[[Path], Iterator[bytes]] = blocks_of) -> str:
    """Returns the SHA-256 of a file, or of a folder's names and their SHA-256s.

    Args:
      path: The recording.
      blocks: Reads a file.
    """
    if path.is_file():
        return sha256_blocks(blocks(path))
    digest = hashlib.sha256()
    for file in files_of(path):
        name = file.relative_to(path).as_posix()
        digest.update(f"{sha256_blocks(blocks(file))} {name}\n".encode())
    return digest.hexdigest()
