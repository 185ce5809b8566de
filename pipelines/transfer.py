"""Copies a sealed version to or from anywhere that fsspec reaches, whole or not at all.

Every file is checked against its digest: those that are copied on the way, those that
are at the target already where they are. What says that a version is sealed,
`checksums.json`, gets its name last, so a copy that was interrupted is never taken for
a version. Until then it lies there under the name of a part and says of which version
the copy is; the same command goes on with the files that are missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from thresher.episodes.errors import UserError
from thresher.episodes.files import sha256_blocks
from thresher.episodes.progress import progress
from thresher.episodes.version import CHECKSUMS
from thresher.pipelines.place import Place
from thresher.pipelines.verify import MOST_CHECKSUM_BYTES, UNSEALED, read_checksums

_MARK = f".{CHECKSUMS}.part"
_Sealed = Mapping[str, dict[str, Any]]


def copy_version(source: str, target: str) -> int:
    """Copies a sealed version.

    Args:
      source: A folder, or an address such as gs://bucket/name/1.0.0.
      target: Likewise; becomes the version's folder. It may hold files of the version;
        a file that differs is only replaced where a copy of the version was begun.

    Returns:
      The number of files that were copied; those that were there, and whole, are not.

    Raises:
      UserError: The source is no sealed version, or damaged, with the file; something
        else is at the target; either cannot be reached, or lies in the other.
    """
    here, there = Place(source), Place(target)
    if here.overlaps(there):
        raise UserError(
            f"{target} and {source} lie in one another, and a version holds its own "
            "files only; choose another place"
        )
    text = _checksums(here)
    sealed = _read(here, text)
    found = there.entries()
    _require_same_version(there, found, text, sealed)
    _make(there)
    is_sealed = CHECKSUMS in found
    if not is_sealed:
        there.write(_MARK, iter([text]))
    copied = 0
    with progress("copy (bytes)", sum(f["bytes"] for f in sealed.values())) as bar:
        for name, facts in sealed.items():
            if name not in found or not _is_as_sealed(there, name, facts):
                _copy(here, there, name, facts)
                copied += 1
            bar.advance(by=facts["bytes"])
    for name in {*found} & {*map(_part, sealed)}:
        there.remove(name)
    if is_sealed:
        there.remove(_MARK)
    else:
        there.move(_MARK, CHECKSUMS)
    return copied


def _part(name: str) -> str:
    return f".{name}.part"


def _make(there: Place) -> None:
    try:
        there.make()
    except FileNotFoundError as error:
        raise UserError(
            f"{there.url} cannot be made: {error}; choose another place"
        ) from error


def _checksums(place: Place) -> bytes:
    """Returns the checksums of a version, as they were written."""
    try:
        size = place.size(CHECKSUMS)
        if size is not None and size > MOST_CHECKSUM_BYTES:
            raise ValueError(f"has {size:,} bytes")
        return b"".join(place.blocks(CHECKSUMS))
    except FileNotFoundError:
        raise UserError(
            f"{place.url} holds no {CHECKSUMS}: it is no sealed version; give the "
            "folder of one, such as data/datasets/bin_grasping/1.0.0"
        ) from None
    except ValueError as error:
        raise _damaged(place, CHECKSUMS, str(error)) from error


def _read(place: Place, text: bytes) -> _Sealed:
    try:
        return read_checksums(text.decode())
    except (ValueError, RecursionError) as error:
        told = f"is not as a seal writes it ({error})"
        raise _damaged(place, CHECKSUMS, told) from error


def _require_same_version(
    there: Place, found: Mapping[str, str], text: bytes, sealed: _Sealed
) -> None:
    """Refuses a target where anything but a copy of the version would be changed.

    Args:
      there: The target.
      found: What is there.
      text: The version's checksums.
      sealed: What they say.
    """
    for name, kind in sorted(found.items()):
        if kind:
            raise _foreign(there, name, kind)
    if CHECKSUMS in found and _checksums(there) != text:
        raise UserError(
            f"another version is at {there.url}; versions never change: choose another "
            "place"
        )
    marked = b"".join(there.blocks(_MARK)) if _MARK in found else b""
    if len(found) > 1 and not text.startswith(marked):
        raise UserError(
            f"{there.url} holds an interrupted copy of another version; finish or "
            "remove that, or choose another place"
        )
    known = {*sealed, *map(_part, sealed), *UNSEALED, CHECKSUMS, _MARK}
    for name in sorted({*found} - known):
        raise _foreign(there, name, "is no file of the version")
    if marked == text or CHECKSUMS in found:
        return
    for name in sorted({*found} - {_MARK}):
        if name not in sealed or not _is_as_sealed(there, name, sealed[name]):
            raise _foreign(there, name, "is not as the version has it")


def _foreign(there: Place, name: str, why: str) -> UserError:
    shown = name if name.isprintable() else ascii(name)
    return UserError(
        f"{there.url} holds {shown}, which {why}; nothing but a copy of the same "
        "version may be there: remove it, or choose another place"
    )


def _is_as_sealed(place: Place, name: str, facts: Mapping[str, Any]) -> bool:
    if place.size(name) not in (None, facts["bytes"]):
        return False
    return sha256_blocks(place.blocks(name)) == facts["sha256"]


def _copy(here: Place, there: Place, name: str, facts: Mapping[str, Any]) -> None:
    """Copies one file under another name, and gives it its own when it is proven."""
    part = _part(name)
    try:
        if here.size(name) not in (None, facts["bytes"]):
            raise ValueError("has another size than was sealed")
        if there.write(part, _at_most(here, name, facts["bytes"])) != facts["sha256"]:
            raise ValueError("is not as it was sealed")
        there.move(part, name)
    except BaseException as error:
        # What comes of a damaged or hostile source is not left lying about.
        with contextlib.suppress(UserError):
            there.remove(part)
        if isinstance(error, FileNotFoundError):
            raise _damaged(here, name, "is missing") from error
        if isinstance(error, ValueError):
            raise _damaged(here, name, str(error)) from error
        raise


def _at_most(place: Place, name: str, size: int) -> Iterator[bytes]:
    """Yields a file's bytes, not many more than there should be."""
    for block in place.blocks(name):
        yield block
        size -= len(block)
        if size < 0:
            return


def _damaged(place: Place, name: str, why: str) -> UserError:
    return UserError(
        f"{name} of {place.url} {why}; `thresher verify` tells what is damaged; copy "
        "from a good copy"
    )
