"""Semantic versions of datasets: the number must say what changed.

As in TFDS: another record, split or order is a major change, since the same slice gives
other examples; the same episodes with further features are a minor one, although their
order, which follows from their contents, is another; anything else (description, layout
of shards, statistics) is a patch.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Optional

import pyarrow as pa

from thresher.episodes.errors import UserError
from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.version import CHECKSUMS, Version, open_version

_NUMBER = re.compile(r"[0-9]{1,18}\.[0-9]{1,18}\.[0-9]{1,18}")
MAJOR, MINOR, PATCH = "major", "minor", "patch"
# What makes an episode the same one to its users. Digests cover every feature, so where
# features were added, sources tell episodes apart.
_IDENTITY = ("split", "episode_id", "success", "task", "language")
_SOURCE = ("split", "source_id", "success", "task", "language")


def is_number(name: str) -> bool:
    """Whether a folder's name is 'major.minor.patch'."""
    return bool(_NUMBER.fullmatch(name))


def number(version: str) -> tuple[int, int, int]:
    """Returns the three numbers of 'major.minor.patch'."""
    major, minor, patch = (int(part) for part in version.split("."))
    return major, minor, patch


def previous_version(target: Path) -> Optional[Version]:
    """Returns the sealed version before a version-to-be, in the same folder."""
    if not target.parent.is_dir():
        return None
    earlier = [
        path
        for path in target.parent.iterdir()
        if (path / CHECKSUMS).exists()
        and is_number(path.name)
        and number(path.name) < number(target.name)
    ]
    if not earlier:
        return None
    return open_version(max(earlier, key=lambda path: number(path.name)))


def change(before: Version, spec: EpisodeSpec, planned: pa.Table) -> tuple[str, str]:
    """Returns ('major', 'minor' or 'patch', why).

    Args:
      before: The earlier version.
      spec: Of the version-to-be.
      planned: Columns split, episode_id, source_id, success, task and language of its
        episodes, in order.
    """
    old = {feature.name: feature for feature in before.spec.all_features}
    new = {feature.name: feature for feature in spec.all_features}
    for name, feature in old.items():
        if name not in new:
            return MAJOR, f"feature {name!r} is gone"
        if (feature.shape, feature.dtype) != (new[name].shape, new[name].dtype):
            return MAJOR, f"feature {name!r} has another shape or type"
    if before.spec.alignment != spec.alignment:
        return MAJOR, f"the alignment is {spec.alignment}"
    added = sorted(set(new) - set(old))
    columns = list(_SOURCE if added else _IDENTITY)
    same = before.columns(columns).cast(planned.select(columns).schema)
    if same.num_rows != planned.num_rows:
        return MAJOR, f"{planned.num_rows} episodes where there were {same.num_rows}"
    now = planned.select(columns)
    if added:
        order = [(name, "ascending") for name in columns]
        same, now = same.sort_by(order), now.sort_by(order)
    if not same.equals(now):
        return MAJOR, "episodes, labels, splits or their order are others"
    if added:
        return MINOR, f"feature {added[0]!r} is new"
    return PATCH, "the same records"


def require_right_number(
    target: Path, before: Version, spec: EpisodeSpec, planned: pa.Table
) -> None:
    """Refuses a version whose number promises less change than there is.

    Raises:
      UserError: Names the change and the least number that says so.
    """
    kind, why = change(before, spec, planned)
    major, minor, patch = number(before.version)
    least = {
        MAJOR: (major + 1, 0, 0),
        MINOR: (major, minor + 1, 0),
        PATCH: (major, minor, patch + 1),
    }[kind]
    if number(target.name) < least:
        raise UserError(
            f"{target.name} after {before.version} would be no {kind} version, and "
            f"this is a {kind} change ({why}); call it "
            f"{'.'.join(map(str, least))} or later"
        )
