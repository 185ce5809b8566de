"""Where the episodes of an HDF5 file are: in groups, in rows, or all of it is one.

Known layouts: robomimic and robosuite keep an episode a group, 'data/demo_*' (Mandlekar
et al. 2021); ALOHA and DROID an episode a file (Zhao et al. 2023; Khazatsky et al.
2024); D4RL all rows in one array, cut by 'terminals' and 'timeouts' (Fu et al. 2020).
Any other is told by options.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Iterator, Mapping
from typing import Any, Optional

import numpy as np

from thresher.episodes.errors import UserError, unknown_name
from thresher.pipelines.ingest.hdf5_file import (
    dtype_problem,
    link_problem,
    member_problem,
    unwritten,
)
from thresher.pipelines.ingest.optional import load_h5py
from thresher.pipelines.ingest.table_rules import MAX_ROWS

WHOLE = "/"
_D4RL_ENDS = ("terminals", "timeouts")
_KNOWN_GROUPS = ("data/demo_*", "episode_*")


@dataclasses.dataclass(frozen=True)
class EpisodePlace:
    """Where one episode is.

    Attributes:
      group: The group that holds it, '/' for the file.
      rows: First row and the row after the last; None where the group is the episode.
      ending: Which array ended it: 'terminals', 'timeouts'; empty where none did.
    """

    group: str
    rows: Optional[tuple[int, int]] = None
    ending: str = ""

    @property
    def position(self) -> str:
        """As provenance tells it."""
        if self.rows is not None:
            return f"rows {self.rows[0]}-{self.rows[1]}"
        return self.group.strip("/") or "whole file"


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a file keeps episodes.

    Attributes:
      name: 'groups', 'file' or 'rows'.
      pattern: Which groups, for 'groups'.
      ends: Arrays whose true rows end an episode, for 'rows'.
      guessed: Why this layout was chosen, for people; empty if options said so.
    """

    name: str
    pattern: str = WHOLE
    ends: tuple[str, ...] = ()
    guessed: str = ""


def find_layout(file: Any, options: Mapping[str, str]) -> Layout:
    """Returns the layout that options name, or the one the file shows.

    Raises:
      UserError: Options that contradict the file.
    """
    if "ends" in options:
        ends = tuple(name.strip() for name in options["ends"].split(","))
        for name in ends:
            if name not in file:
                raise unknown_name(f"array in {file.filename}", name, list(file))
        return Layout("rows", ends=ends)
    pattern = options.get("episodes", "")
    if pattern:
        whole = pattern in (".", WHOLE)
        return Layout("file" if whole else "groups", WHOLE if whole else pattern)
    return _guess(file)


def _guess(file: Any) -> Layout:
    h5py = load_h5py()
    for pattern in _KNOWN_GROUPS:
        if next(_matching(file, pattern), None) is not None:
            return Layout("groups", pattern, guessed=f"groups {pattern!r} are there")
    ends = tuple(name for name in _D4RL_ENDS if _is_flag_array(file, name))
    if ends:
        return Layout("rows", ends=ends, guessed=f"{' and '.join(ends)} at the root")
    kinds = [file.get(name, getclass=True) for name in _safe_names(file)]
    if kinds and all(kind is h5py.Group for kind in kinds):
        pattern = _alike(file)
        if pattern:
            reason = "groups that all hold the same names"
            return Layout("groups", pattern, guessed=reason)
    return Layout("file", guessed="nothing repeats, so the file is one episode")


def _alike(file: Any) -> str:
    """Returns the pattern of sibling groups that hold the same names; empty if none."""
    names = _safe_names(file)
    if len(names) == 1 and len(_safe_names(file[names[0]])) > 1:
        h5py = load_h5py()
        inner = file[names[0]]
        below = _safe_names(inner)
        if all(inner.get(name, getclass=True) is h5py.Group for name in below):
            kinds = {frozenset(inner[name]) for name in below}
            return f"{names[0]}/*" if len(kinds) == 1 else ""
        return ""
    kinds = {frozenset(file[name]) for name in names}
    return "*" if len(kinds) == 1 and len(names) > 1 and kinds != {frozenset()} else ""


def _safe_names(group: Any) -> list[str]:
    return [name for name in group if not member_problem(group, name)]


def _is_flag_array(file: Any, name: str) -> bool:
    h5py = load_h5py()
    if name not in file or link_problem(file, name):
        return False
    item = file[name]
    return isinstance(item, h5py.Dataset) and item.ndim >= 1 and len(item) > 1


def places(file: Any, layout: Layout, mask: str = "") -> Iterator[EpisodePlace]:
    """Yields where each episode is, in the order of the numbers in their names.

    Args:
      file: The open file.
      layout: How it keeps episodes.
      mask: Name of a robomimic filter key; episodes outside it are left out.

    Raises:
      UserError: No group matches, or there is no such filter key.
    """
    if layout.name == "file":
        yield EpisodePlace(WHOLE)
    elif layout.name == "rows":
        yield from _cut(file, layout.ends)
    else:
        chosen = set(filter_keys(file).get(mask, ())) if mask else None
        if mask and mask not in filter_keys(file):
            raise unknown_name("filter key", mask, filter_keys(file) or ["none"])
        found = False
        for group in _matching(file, layout.pattern):
            found = True
            if chosen is None or group.rsplit("/", 1)[-1] in chosen:
                yield EpisodePlace(group)
        if not found:
            raise UserError(
                f"{file.filename}: no group matches option episodes="
                f"{layout.pattern!r}; at the root are {', '.join(list(file)[:10])}"
            )


def filter_keys(file: Any) -> dict[str, list[str]]:
    """Returns robomimic's filter keys: names of episodes by name of the subset."""
    h5py = load_h5py()
    if "mask" not in file or link_problem(file, "mask"):
        return {}
    mask = file["mask"]
    keys: dict[str, list[str]] = {}
    for name in mask if isinstance(mask, h5py.Group) else ():
        item = mask[name] if not link_problem(file, f"mask/{name}") else None
        is_list = isinstance(item, h5py.Dataset) and item.ndim == 1
        if is_list and h5py.check_string_dtype(item.dtype) and not _absent(item):
            keys[name] = [str(text) for text in item.asstr()[:]]
    return keys


def _absent(dataset: Any) -> bool:
    """Whether reading a list would be reading what was never written."""
    return len(dataset) > MAX_ROWS or bool(unwritten(dataset))


def _matching(file: Any, pattern: str, prefix: str = "") -> Iterator[str]:
    """Yields paths of the groups that a pattern names, level by level."""
    head, _, tail = pattern.strip("/").partition("/")
    group = file[prefix] if prefix else file
    for name in sorted(fnmatch.filter(list(group), head), key=_natural):
        path = f"{prefix}/{name}"
        if member_problem(group, name) or not _is_group(group, name):
            continue
        if tail:
            yield from _matching(file, tail, path)
        else:
            yield path


def _is_group(group: Any, name: str) -> bool:
    h5py = load_h5py()
    return bool(h5py.h5o.get_info(group.id, name.encode()).type == h5py.h5o.TYPE_GROUP)


def _natural(name: str) -> list[tuple[int, str]]:
    """Orders demo_2 before demo_10."""
    parts = re.split(r"(\d+)", name)
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts]


def _cut(file: Any, ends: tuple[str, ...]) -> Iterator[EpisodePlace]:
    """Cuts rows after every one that an array says is the last."""
    flags = {name: _flags(file, name) for name in ends}
    lengths = {len(column) for column in flags.values()}
    if len(lengths) != 1:
        raise UserError(
            f"{file.filename}: {' and '.join(ends)} have {sorted(lengths)} rows; they "
            "must have as many as each other (choose with option ends=…)"
        )
    total = lengths.pop()
    last = np.flatnonzero(np.logical_or.reduce(list(flags.values())))
    first = 0
    for row in last.tolist():
        ending = next(name for name in ends if flags[name][row])
        yield EpisodePlace(WHOLE, (first, row + 1), ending)
        first = row + 1
    if first < total:
        yield EpisodePlace(WHOLE, (first, total))


def _flags(file: Any, name: str) -> np.ndarray:
    dataset = file[name]
    if _absent(dataset) or dataset.size != len(dataset):
        raise UserError(
            f"{file.filename}: {name} has shape {list(dataset.shape)}; an array of "
            "ends is one flag a row"
        )
    if dtype_problem(dataset.dtype) or dataset.dtype.kind not in "biuf":
        raise UserError(f"{file.filename}: {name} holds {dataset.dtype}, no flags")
    return np.asarray(dataset[...]).reshape(-1) != 0
