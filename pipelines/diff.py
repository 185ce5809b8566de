"""What changed from one version to another: episodes, labels, splits, features."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.version import Version, side_files

# What an index row says about an episode beside where it is kept.
_LABELS = ("success", "episode_return", "label_source", "confidence", "other_labels")
_COMPARED = ("episode_id", "split", "sampling_weight", *_LABELS)
_BATCH_ROWS = 16_384
_SHOWN = 5
_NOTICEABLE = 0.1


@dataclasses.dataclass(frozen=True)
class VersionDiff:
    """Differences of a later version from an earlier one.

    Attributes:
      added: Ids of episodes that only the later one has.
      removed: Ids of episodes that only the earlier one has.
      repeated: Ids with the number of times that each has them, where that differs.
      relabelled: Ids with the labels that changed: (name, before, after).
      moved: Ids with the split before and after.
      features: A sentence for each feature that was added, removed or changed.
      ratios: For each split successes and failures before and after.
      statistics: A sentence for each feature whose mean moved noticeably.
      reweighted: Ids with the sampling weight before and after, where that differs.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    repeated: Mapping[str, tuple[int, int]]
    relabelled: Mapping[str, tuple[tuple[str, Any, Any], ...]]
    moved: Mapping[str, tuple[str, str]]
    features: tuple[str, ...]
    ratios: Mapping[str, tuple[tuple[int, int], tuple[int, int]]]
    statistics: tuple[str, ...] = ()
    reweighted: Mapping[str, tuple[float, float]] = dataclasses.field(
        default_factory=dict
    )

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return any(
            (
                self.added,
                self.removed,
                self.repeated,
                self.relabelled,
                self.moved,
                self.features,
                self.reweighted,
            )
        )

    def sentences(self) -> Iterator[str]:
        """Yields what differs, in a line each."""
        for word, ids in (("added", self.added), ("removed", self.removed)):
            if ids:
                yield f"{len(ids):,} episodes {word}: {_some(ids)}"
        yield from _listed(
            "repeated otherwise",
            self.repeated,
            lambda counts: f"is there {counts[1]} times, not {counts[0]}",
        )
        yield from _listed("relabelled", self.relabelled, _relabelling)
        yield from _listed(
            "moved",
            self.moved,
            lambda splits: f"moved from {splits[0]} to {splits[1]}",
        )
        if self.reweighted:
            ids = tuple(self.reweighted)
            yield f"{len(ids):,} episodes with another sampling weight: {_some(ids)}"
        yield from self.features
        for split, (before, after) in self.ratios.items():
            if before != after:
                yield f"success in {split}: {_ratio(before)} → {_ratio(after)}"
        yield from self.statistics


def diff(before: Version, after: Version) -> VersionDiff:
    """Compares two versions by their indexes and specs; no shard is read.

    Raises:
      UserError: Side files of one of them do not hold what a seal writes.
    """
    with side_files(f"{before.path} or {after.path}"):
        return _compared(before, after)


def _compared(before: Version, after: Version) -> VersionDiff:
    old, new = _by_id(before), _by_id(after)
    both = sorted(set(old) & set(new))
    return VersionDiff(
        added=tuple(sorted(set(new) - set(old))),
        removed=tuple(sorted(set(old) - set(new))),
        repeated={
            key: (len(old[key]), len(new[key]))
            for key in both
            if len(old[key]) != len(new[key])
        },
        relabelled={
            key: changes
            for key in both
            if (changes := tuple(_label_changes(old[key][0], new[key][0])))
        },
        moved={
            key: (old[key][0]["split"], new[key][0]["split"])
            for key in both
            if old[key][0]["split"] != new[key][0]["split"]
        },
        features=tuple(_feature_changes(before.spec, after.spec)),
        ratios=_ratios(before, after),
        statistics=tuple(_moved_means(before, after)),
        reweighted={
            key: weights
            for key in both
            if (weights := (_weight(old[key]), _weight(new[key])))[0] != weights[1]
        },
    )


def _by_id(version: Version) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    # Versions of other makers may say less of an episode.
    names = [name for name in _COMPARED if name in version.column_names]
    # A row of Python objects is many times its size in the table.
    for batch in version.columns(names).to_batches(_BATCH_ROWS):
        for row in batch.to_pylist():
            found.setdefault(row["episode_id"], []).append(row)
    return found


def _label_changes(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    for name in _LABELS:
        if old.get(name) != new.get(name):
            yield name, old.get(name), new.get(name)


def _feature_changes(before: EpisodeSpec, after: EpisodeSpec) -> Iterator[str]:
    old = {feature.name: feature for feature in before.all_features}
    new = {feature.name: feature for feature in after.all_features}
    for name in sorted(set(old) | set(new)):
        if name not in new:
            yield f"feature {name} removed"
        elif name not in old:
            yield f"feature {name} added"
        else:
            changed = [
                f"{field.name} {getattr(old[name], field.name)!r} → "
                f"{getattr(new[name], field.name)!r}"
                for field in dataclasses.fields(old[name])
                if getattr(old[name], field.name) != getattr(new[name], field.name)
            ]
            if changed:
                yield f"feature {name}: {'; '.join(changed)}"


def _ratios(
    before: Version, after: Version
) -> dict[str, tuple[tuple[int, int], tuple[int, int]]]:
    old, new = _outcomes(before), _outcomes(after)
    return {
        split: (
            (old[split, "yes"], old[split, "no"]),
            (new[split, "yes"], new[split, "no"]),
        )
        for split in sorted({split for split, _ in (*old, *new)})
    }


def _weight(rows: list[dict[str, Any]]) -> float:
    return float(rows[0].get("sampling_weight", 1.0))


def _outcomes(version: Version) -> Counter[tuple[str, str]]:
    table = version.columns(["split", "success"])
    return Counter(zip(*(column.to_pylist() for column in table.columns)))


def _moved_means(before: Version, after: Version) -> Iterator[str]:
    """Yields what moved by more than a tenth of its spread; less is resampling."""
    old, new = before.statistics, after.statistics
    for split in sorted(set(old) & set(new)):
        for name in sorted(set(old[split]) & set(new[split])):
            one, other = old[split][name], new[split][name]
            for entry, spread in enumerate(one["std"]):
                means = [facts["mean"][entry] for facts in (one, other)]
                if abs(means[1] - means[0]) > _NOTICEABLE * spread:
                    yield (
                        f"statistics of {name}[{entry}] in {split}: mean "
                        f"{means[0]:.4g} → {means[1]:.4g} (std {spread:.4g})"
                    )


def _ratio(outcomes: tuple[int, int]) -> str:
    yes, no = outcomes
    share = f" ({yes / (yes + no):.1%})" if yes + no else ""
    return f"{yes:,} of {yes + no:,}{share}"


def _some(ids: tuple[str, ...]) -> str:
    shown = ", ".join(ids[:_SHOWN])
    return shown if len(ids) <= _SHOWN else f"{shown}, …"


def _relabelling(changes: tuple[tuple[str, Any, Any], ...]) -> str:
    told = "; ".join(f"{name} {old!r} → {new!r}" for name, old, new in changes)
    return f"relabelled: {told}"


def _listed(
    word: str, changes: Mapping[str, Any], tell: Callable[[Any], str]
) -> Iterator[str]:
    """Yields the first few; a version of millions must not fill the screen."""
    for episode, change in itertools.islice(changes.items(), _SHOWN):
        yield f"{episode} {tell(change)}"
    if len(changes) > _SHOWN:
        yield f"… and {len(changes) - _SHOWN:,} more {word}"
