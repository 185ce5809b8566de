"""HDF5 files as strangers wrote them: what is in a group, nothing of it trusted.

Links that leave the file are refused, since they make a reader open what the file's
author chose. Declared shapes are checked before anything is allocated, and storage that
was never written is told from zeros that were. Sources: HDF5 file format 3.0; h5py's
documentation of links, virtual datasets and special types.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np

from thresher.pipelines.ingest.optional import load_h5py
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.table_rules import telling_damage

MAGIC = b"\x89HDF\r\n\x1a\n"
REMEDY = (
    "check the file with `h5ls -r` and copy it again; if its writer was killed, "
    "`h5clear -s` may open it"
)
_MOST_OBJECTS = 100_000
_DEEPEST = 32
_MOST_FOLLOWED = 16
_LARGEST_CHUNK = 256 << 20
_LARGEST_ATTRIBUTE = 1 << 20
_LONGEST_ATTRIBUTE_LIST = 4096


class Rows:
    """An h5py dataset; what its head says is asked of the library once.

    Attributes:
      shape: As the dataset's; None for an empty one.
      dtype: Of its values.
      chunks: Shape of a chunk; None without chunks.
      is_virtual: Whether its values are those of other datasets.
      size: How many values.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self.shape: Optional[tuple[int, ...]] = dataset.shape
        self.dtype: np.dtype = dataset.dtype
        self.chunks: Optional[tuple[int, ...]] = dataset.chunks
        self.is_virtual: bool = dataset.is_virtual
        self.size = math.prod(self.shape or ())

    @functools.cached_property
    def name(self) -> str:
        """Its path in the file."""
        return str(self._dataset.name)

    @property
    def ndim(self) -> int:
        """How many axes."""
        return len(self.shape or ())

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, selection: Any) -> Any:
        return self._dataset[selection]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def read_into(self, values: np.ndarray, first: int) -> None:
        """Fills an array [N, …] with rows from the first on."""
        h5py = load_h5py()
        if values.shape == self.shape:
            # Without the selection, which takes as long as reading a small one.
            self._dataset.id.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
        elif values.size:
            self._dataset.read_direct(values, np.s_[first : first + len(values)])


@dataclasses.dataclass(frozen=True)
class Tree:
    """What a group holds.

    Attributes:
      datasets: Those with rows, by path below the group.
      attributes: Attributes of the group and of all below, and scalar datasets.
      refused: Why a path is not read, by path.
    """

    datasets: dict[str, Rows]
    attributes: dict[str, Any]
    refused: dict[str, str]


def has_magic(path: Path) -> bool:
    """Whether a file starts as HDF5 does, also behind a user block."""
    with open(path, "rb") as file:
        for offset in (0, 512, 1024, 2048):
            file.seek(offset)
            if file.read(len(MAGIC)) == MAGIC:
                return True
    return False


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """Opens a file for reading, as an `h5py.File`.

    Raises:
      UserError: h5py is not installed.
      DamagedRecordingError: It is no HDF5 file, or a damaged one.
    """
    h5py = load_h5py()
    # Locks fail on read-only and network disks, and nobody writes what is ingested.
    with telling_damage(path, "", REMEDY):
        file = h5py.File(path, "r", locking="best-effort")
    try:
        yield file
    finally:
        with telling_damage(path, "", REMEDY):
            file.close()


def tree(file: Any, group: Any) -> Tree:
    """Returns what is in a group and below, each object once.

    Raises:
      DamagedRecordingError: There is too much of it, or it is too deep.
    """
    found = Tree({}, dict(attributes_of(group)), {})
    _walk(file, group, "", found, _address(group), 0)
    return found


def _walk(
    file: Any, group: Any, prefix: str, found: Tree, inside: tuple[int, ...], depth: int
) -> None:
    h5py = load_h5py()
    if depth > _DEEPEST:
        raise DamagedRecordingError(
            f"{file.filename}: groups nest deeper than {_DEEPEST} at {prefix}; {REMEDY}"
        )
    for name in group:
        path = f"{prefix}{name}"
        if len(found.datasets) + len(found.refused) >= _MOST_OBJECTS:
            raise DamagedRecordingError(
                f"{file.filename}: more than {_MOST_OBJECTS:,} objects; {REMEDY}"
            )
        reason = member_problem(group, name)
        if reason:
            found.refused[path] = reason
            continue
        item = group[name]
        if isinstance(item, h5py.Group):
            address = _address(item)
            # A group that holds itself would never end.
            if address[0] in inside:
                found.refused[path] = "a link to a group that it is in"
                continue
            for key, value in attributes_of(item):
                found.attributes[f"{path}/{key}"] = value
            _walk(file, item, f"{path}/", found, inside + address, depth + 1)
        elif isinstance(item, h5py.Dataset):
            _sort_in(Rows(item), path, found)


def _sort_in(dataset: Rows, path: str, found: Tree) -> None:
    for key, value in attributes_of(dataset):
        found.attributes[f"{path}/{key}"] = value
    reason = dataset_problem(dataset)
    if reason:
        found.refused[path] = reason
    elif dataset.shape == ():
        value = _plain(dataset[()])
        if value is not None:
            found.attributes[path] = value
    elif dataset.shape is not None:
        found.datasets[path] = dataset


def _address(group: Any) -> tuple[int, ...]:
    h5py = load_h5py()
    return (int(h5py.h5o.get_info(group.id).addr),)


def member_problem(group: Any, name: str) -> str:
    """Returns why a member of a group that was found sound must not be followed."""
    h5py = load_h5py()
    # A hard link leads to an object of the same file, whatever it says.
    if group.id.links.get_info(name.encode()).type == h5py.h5l.TYPE_HARD:
        return ""
    return link_problem(group.file, f"{group.name.rstrip('/')}/{name}")


def link_problem(file: Any, path: str, followed: int = 0) -> str:
    """Returns why a path must not be followed; empty if it stays in the file."""
    h5py = load_h5py()
    if followed > _MOST_FOLLOWED:
        return "links that lead round in a circle"
    parts = [part for part in path.split("/") if part]
    for count in range(1, len(parts) + 1):
        here = "/" + "/".join(parts[:count])
        link = file.get(here, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            return f"an external link to {link.filename!r}: links must stay in the file"
        if isinstance(link, h5py.SoftLink):
            base = (
                "" if link.path.startswith("/") else "/" + "/".join(parts[: count - 1])
            )
            target = f"{base}/{link.path}"
            reason = link_problem(file, target, followed + 1)
            if reason:
                return reason
            if target not in file:
                return f"a soft link to {link.path!r}, which is not there"
    return ""


def dataset_problem(dataset: Rows) -> str:
    """Returns why a dataset is not read; empty if it is sound as far as heads tell."""
    if dataset.external:
        return f"its data are in another file, {dataset.external[0][0]!r}"
    if dataset.is_virtual:
        names = {source.file_name for source in dataset.virtual_sources()}
        if names - {"."}:
            return f"a virtual dataset over other files: {sorted(names)[:3]}"
    reason = dtype_problem(dataset.dtype)
    if reason:
        return reason
    chunk = dataset.chunks
    if chunk and math.prod(chunk) * dataset.dtype.itemsize > _LARGEST_CHUNK:
        return f"chunks of {list(chunk)} {dataset.dtype} exceed 256 MiB"
    return ""


def dtype_problem(dtype: np.dtype) -> str:
    """Returns why values of a type are not read; empty for numbers, texts and bytes."""
    h5py = load_h5py()
    if h5py.check_string_dtype(dtype) is not None:
        return ""
    inner = h5py.check_vlen_dtype(dtype)
    if inner is not None:
        return "" if inner == np.uint8 else f"rows of varying length of {inner}"
    if h5py.check_ref_dtype(dtype) is not None:
        return "object references"
    if dtype.kind in "OV":
        return "objects, compounds or opaque bytes (pickles are never loaded)"
    return "" if dtype.kind in "biuf" else f"values of type {dtype}"


def unwritten(dataset: Any, followed: int = 0) -> str:
    """Returns what of a dataset was declared but never written; empty if all was."""
    if not dataset.size:
        return ""
    if dataset.is_virtual:
        return _unwritten_sources(dataset, followed)
    if dataset.chunks is None:
        stored = dataset.id.get_storage_size()
        wanted = dataset.size * dataset.dtype.itemsize
        # Compact data are in the header; their storage size is told all the same.
        return (
            "" if stored >= wanted else f"{wanted:,} bytes declared, {stored:,} there"
        )
    wanted = math.prod(
        -(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks)
    )
    stored = dataset.id.get_num_chunks()
    return "" if stored >= wanted else f"{wanted:,} chunks declared, {stored:,} there"


def _unwritten_sources(dataset: Any, followed: int) -> str:
    """Returns the same of a virtual dataset: what it is made of, and whether of all."""
    if followed > _MOST_FOLLOWED:
        return "virtual datasets that lead round in a circle"
    sources = dataset.virtual_sources()
    told = sum(source.vspace.get_select_npoints() for source in sources)
    if told < dataset.size:
        return f"{dataset.size:,} values declared, {told:,} have a source"
    for name in sorted({source.dset_name for source in sources}):
        if name not in dataset.file:
            return f"its source {name!r} is not there"
        missing = unwritten(dataset.file[name], followed + 1)
        if missing:
            return f"its source {name!r}: {missing}"
    return ""


def attributes_of(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yields the attributes of a group or dataset that are short plain values.

    A JSON object's entries follow it, as 'env_args/env_name' after 'env_args'.
    """
    h5py = load_h5py()
    if not h5py.h5a.get_num_attrs(thing.id):
        return
    for name in itertools.islice(thing.attrs, _LONGEST_ATTRIBUTE_LIST):
        head = h5py.h5a.open(thing.id, name.encode())
        size = math.prod(head.shape or ())
        if dtype_problem(head.dtype) or size * head.dtype.itemsize > _LARGEST_ATTRIBUTE:
            continue
        value = _plain(thing.attrs[name])
        if value is None:
            continue
        yield name, value
        yield from _json_entries(name, value)


def _json_entries(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return
    try:
        entries = json.loads(value)
    except (ValueError, RecursionError):
        # A text in braces that is no JSON is a text.
        return
    for key, entry in entries.items():
        if isinstance(entry, (str, int, float, bool)):
            yield f"{name}/{key}", entry


def _plain(value: Any) -> Any:
    """Returns an HDF5 value as Python's own; None for what is too long or no value."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray):
        if value.size > _LONGEST_ATTRIBUTE_LIST or value.dtype.kind not in "biufSUO":
            return None
        return [_plain(item) for item in value.reshape(-1)]
    if isinstance(value, np.generic):
        return _plain(value.item()) if value.dtype.kind in "biufSU" else None
    return value if isinstance(value, (str, int, float, bool)) else None
