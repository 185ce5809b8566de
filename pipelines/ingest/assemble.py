"""Makes an episode of a segment, as a mapping says: the one place that aligns logs.

The steps are those of the clock (or a table's rows). Step t gets the observation at its
time and the action that was taken on it; the last step holds the final observation, and
its action, reward and discount are zero. A table whose last row still holds an action
and a reward (`sar`, as in Open X-Embodiment) gets one step more, so that neither is
lost: no observation followed, so its last one is repeated, which the episode's
environment says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Union

import numpy as np

from thresher.episodes.episode import Episode
from thresher.episodes.metadata import (
    Behaviour,
    EpisodeMetadata,
    Outcome,
    Provenance,
    Success,
)
from thresher.episodes.spec import Column
from thresher.pipelines.ingest.carried import said_of
from thresher.pipelines.ingest.columns import (
    ColumnError,
    differences,
    picked_column,
    shaped,
)
from thresher.pipelines.ingest.labels import (
    picked_labels,
    source_of_success,
    success_of,
    text_of,
    texts_of,
)
from thresher.pipelines.ingest.mapping import LogMapping, MappedFeature
from thresher.pipelines.ingest.outcomes import outcome_columns
from thresher.pipelines.ingest.recording import Segment, Stream
from thresher.pipelines.ingest.rows import row_ticks
from thresher.pipelines.ingest.ticks import (
    Picked,
    RefusedSegment,
    clock_ticks,
    common_range,
    pick,
)
from thresher.pipelines.ingest.tidy import in_order

REPEATED = {"final_observation": "repeated"}


@dataclasses.dataclass(frozen=True)
class Assembled:
    """An episode, and what of the segment went into it.

    Attributes:
      episode: The episode.
      picked: By field, the positions of the values that are in it.
      skew_seconds: By field, the farthest that a value is from its step.
      gap_seconds: By field, the longest time between two values.
    """

    episode: Episode
    picked: Mapping[str, np.ndarray]
    skew_seconds: Mapping[str, float]
    gap_seconds: Mapping[str, float]


def assemble(
    segment: Segment,
    mapping: LogMapping,
    source_id: str,
    provenance: Provenance,
    start_ns: int = 0,
    carried: Collection[str] = (),
) -> Assembled:
    """Returns the episode of a segment.

    Args:
      segment: Timed streams of the mapping's fields.
      mapping: What they mean.
      source_id: What people call the episode.
      provenance: Where the segment's bytes came from.
      start_ns: Values before it were carried over; steps begin at or after it.
      carried: Fields whose first value was carried over.

    Raises:
      RefusedSegment: It cannot become an episode, with the rule and the value.
    """
    try:
        assembly = _Assembly(segment, mapping, start_ns, carried)
        return assembly.finish(source_id, provenance)
    except ColumnError as error:
        raise RefusedSegment(f"values: {error}") from error


class _Assembly:
    """One segment on its way to an episode."""

    def __init__(
        self,
        segment: Segment,
        mapping: LogMapping,
        start_ns: int,
        carried: Collection[str],
    ) -> None:
        self._mapping = mapping
        self._streams, self._kept = in_order(segment.streams, mapping)
        said, self._said_at = said_of(mapping, self._streams, self._kept, carried)
        # What its labels, rewards and ending are taken from.
        self._segment = dataclasses.replace(segment, streams=said)
        self._require_streams()
        # Filled as steps are found: which values of which field are in the episode.
        self._picked: dict[str, list[np.ndarray]] = {}
        self._skew: dict[str, float] = {}
        self._gap: dict[str, float] = {}
        self._repeats = mapping.alignment in ("sar", "oxe")
        self._ticks = self._all_ticks(start_ns)

    def _require_streams(self) -> None:
        for feature in self._mapping.features:
            for field in feature.source.fields:
                if len(self._streams.get(field, _EMPTY).times_ns) == 0:
                    raise RefusedSegment(
                        f"streams: {field} of {feature.spec.name} has no value in it"
                    )

    def _all_ticks(self, start_ns: int) -> np.ndarray:
        clock = self._mapping.clock
        if clock is None:
            ticks = row_ticks(self._mapping, self._streams)
        else:
            names = [f for m in self._mapping.features for f in m.source.fields]
            streams = {name: self._streams[name] for name in names}
            if clock.stream in self._streams:
                streams[clock.stream] = self._streams[clock.stream]
            ticks, own = clock_ticks(clock, streams, start_ns)
            self._picked.setdefault(clock.stream, []).append(own)
            self._refuse_gaps(ticks)
        if self._repeats:
            after = round(self._mapping.step_seconds * 1e9)
            ticks = np.append(ticks, ticks[-1] + after)
        return ticks

    def _refuse_gaps(self, ticks: np.ndarray) -> None:
        clock = self._mapping.clock
        assert clock is not None
        if clock.on_gap != "reject" or len(ticks) < 2:
            return
        widest = int(np.argmax(np.diff(ticks)))
        gap = float(ticks[widest + 1] - ticks[widest]) / 1e9
        if clock.max_gap_seconds is not None and gap > clock.max_gap_seconds:
            raise RefusedSegment(
                f"gap: {gap:.3f} s between steps {widest} and {widest + 1}, more than "
                f"max_gap_seconds of {clock.max_gap_seconds}"
            )

    def finish(self, source_id: str, provenance: Provenance) -> Assembled:
        picks = {
            feature.spec.name: self._picks(feature)
            for feature in self._mapping.features
        }
        first, last = self._range(picks)
        if last - first < self._mapping.marks.min_steps:
            raise RefusedSegment(
                f"length: {last - first} steps, fewer than min_steps of "
                f"{self._mapping.marks.min_steps}"
            )
        ticks = self._ticks[first:last]
        steps: dict[str, Column] = {}
        for feature in self._mapping.features:
            name = feature.spec.name
            steps[name] = self._column(feature, picks[name], first, last)
        if self._mapping.clock is not None and self._mapping.clock.timestamp:
            steps["timestamp"] = (ticks - ticks[0]) / 1e9
        success = success_of(self._mapping.success, self._segment)
        columns, used = outcome_columns(
            self._mapping, self._segment.streams, ticks, success
        )
        steps.update(columns)
        self._note_said(used)
        rewards = columns["reward"]
        assert isinstance(rewards, np.ndarray)
        outcome = self._outcome(success, rewards)
        metadata = self._metadata(source_id, provenance, int(ticks[0]), outcome)
        episode = Episode(steps, metadata)
        self._note_said(picked_labels(self._mapping, self._segment))
        return Assembled(episode, self._positions(), self._skew, self._gap)

    def _picks(self, feature: MappedFeature) -> list[Picked]:
        """Returns what each field gives at each step; for actions one step less."""
        ticks = self._ticks
        is_action = _is_action(feature)
        if self._repeats and not is_action:
            ticks = ticks[:-1]
        picks = [
            pick(feature.source, self._streams[field], ticks)
            for field in feature.source.fields
        ]
        if self._repeats and not is_action:
            return [_with_last_repeated(picked) for picked in picks]
        if is_action and not feature.derivation:
            return [_without_last(picked) for picked in picks]
        return picks

    def _range(self, picks: Mapping[str, list[Picked]]) -> tuple[int, int]:
        first, last = 0, len(self._ticks)
        for feature in self._mapping.features:
            several = picks[feature.spec.name]
            if len(several[0].valid) == 0:
                raise RefusedSegment("length: 1 step, and nothing follows its action")
            for field, picked in zip(feature.source.fields, several):
                name = f"{feature.spec.name} ({field})"
                a, b = common_range(name, picked.valid, feature.source.on_gap)
                # An action at step b - 1 leads to the observation at step b.
                behind = len(self._ticks) - len(picked.valid)
                first, last = max(first, a), min(last, b + behind)
        return first, last

    def _column(
        self, feature: MappedFeature, picks: list[Picked], first: int, last: int
    ) -> Column:
        is_shorter = len(picks[0].valid) < len(self._ticks)
        several = [_cut(picked, first, last - is_shorter) for picked in picks]
        for field, picked in zip(feature.source.fields, several):
            self._note(field, picked)
        column = self._values(feature, several)
        if not _is_action(feature):
            return column
        assert isinstance(column, np.ndarray)
        if feature.derivation == "next_of":
            column = column[1:]
        elif feature.derivation == "difference_of":
            column = differences(feature.spec, column)
        return np.concatenate([column, feature.spec.zeros(1)])

    def _values(self, feature: MappedFeature, picks: list[Picked]) -> Column:
        streams = [self._streams[field] for field in feature.source.fields]
        if picks[0].values is None:
            pairs = [(s, p.positions) for s, p in zip(streams, picks)]
            return picked_column(feature, pairs)
        return shaped(feature, [p.values for p in picks if p.values is not None])

    def _note(self, field: str, picked: Picked) -> None:
        self._picked.setdefault(field, []).extend([picked.positions, picked.also])
        worst = float(picked.skew_ns.max(initial=0)) / 1e9
        self._skew[field] = max(self._skew.get(field, 0.0), worst)
        self._gap[field] = max(self._gap.get(field, 0.0), picked.gap_ns / 1e9)

    def _note_said(self, picked: Mapping[str, np.ndarray]) -> None:
        for field, positions in picked.items():
            # A log may be silent on a field.
            places = self._said_at.get(field, _NOWHERE)[positions]
            self._picked.setdefault(field, []).append(places)

    def _positions(self) -> dict[str, np.ndarray]:
        """Returns the picked positions in the segment's own streams."""
        return {
            field: self._kept[field][np.unique(np.concatenate(parts))]
            for field, parts in self._picked.items()
            if field in self._kept
        }

    def _outcome(self, success: Success, rewards: np.ndarray) -> Outcome:
        total = float(np.sum(rewards, dtype=np.float64))
        known = success != Success.UNKNOWN
        source = source_of_success(self._mapping)
        return Outcome(success, total, source, 1.0 if known else 0.0)

    def _metadata(
        self, source_id: str, provenance: Provenance, start_ns: int, outcome: Outcome
    ) -> EpisodeMetadata:
        mapping, segment = self._mapping, self._segment
        if start_ns < 0:
            raise RefusedSegment(f"time: it starts at {start_ns} ns, before 1970")
        environment: dict[str, Union[float, str]] = {}
        if self._repeats:
            environment.update(REPEATED)
        return EpisodeMetadata(
            source_id=source_id,
            task=text_of(mapping.task, segment),
            robot=mapping.robot,
            scene_id=text_of(mapping.scene, segment),
            object_ids=tuple(
                name for label in mapping.objects for name in texts_of(label, segment)
            ),
            language=text_of(mapping.language, segment),
            start_time_ns=start_ns,
            environment=environment,
            outcome=outcome,
            behaviour=Behaviour(
                mapping.behaviour_kind, mapping.policy_id, mapping.policy_version
            ),
            provenance=provenance,
        )


_NOWHERE = np.zeros(0, np.int64)
_EMPTY = Stream(np.zeros(0, np.int64), np.zeros(0))


def _is_action(feature: MappedFeature) -> bool:
    return feature.spec.name.split("/")[0] == "action"


def _cut(picked: Picked, first: int, last: int) -> Picked:
    steps = slice(first, last)
    return Picked(
        picked.positions[steps],
        picked.skew_ns[steps],
        None if picked.values is None else picked.values[steps],
        picked.also[steps],
        picked.valid[steps],
        picked.gap_ns,
    )


def _without_last(picked: Picked) -> Picked:
    return _cut(picked, 0, len(picked.valid) - 1)


def _with_last_repeated(picked: Picked) -> Picked:
    def again(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array, array[-1:]])

    return Picked(
        again(picked.positions),
        again(picked.skew_ns),
        None if picked.values is None else again(picked.values),
        again(picked.also),
        again(picked.valid),
        picked.gap_ns,
    )
