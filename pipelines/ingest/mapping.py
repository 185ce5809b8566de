"""What a mapping says: how a recording's fields become the features of episodes.

A mapping is written as YAML (`mapping_file.py`); docs/from_your_logs.md explains every
key. Everything that changes an episode's values is in here, and nothing else is.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Optional, Union

from thresher.episodes.metadata import BehaviourKind
from thresher.episodes.spec import EpisodeSpec, FeatureSpec

ALIGNS = (
    "latest-before",
    "latest-before-next",
    "nearest",
    "first-after",
    "interpolate",
)
ON_GAP = ("trim", "hold", "reject")
LATE = ("sort", "drop", "reject")
CLOCK_GAPS = ("keep", "split", "reject")
ALIGNMENTS = ("rlds", "sar", "oxe", "n_plus_one")
MARKS = ("whole_file", "value", "message", "gap", "stamp_reset", "column")
DERIVATIONS = ("", "next_of", "difference_of")
# An episode's messages, their episode and its chunk are in memory at once: with this
# limit they stay below 1 GiB together.
MAX_EPISODE_BYTES = 192 << 20

TIMESTAMP = FeatureSpec(
    "timestamp", (), "float64", "Time of the step since the episode began.", unit="s"
)


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a feature's numbers come from, and when.

    Attributes:
      fields: Of the recording; several are concatenated.
      align: One of `ALIGNS`.
      tolerance_seconds: How far from a step a value may be (for `interpolate`: how far
        the two values may be apart); None for any distance.
      on_gap: What happens to steps without a value: 'trim' leaves them out at the start
        and end of an episode and refuses the episode for one inside; 'hold' takes the
        last value however old; 'reject' refuses the episode.
      scale: Numbers are multiplied by it: 0.001 for mm to m.
      offset: Then this is added.
      not_finite: What stands for infinite numbers and not-a-number, such as a laser's
        beams without an echo; None leaves them, and the build sets the episode aside.
    """

    fields: tuple[str, ...]
    align: str = "latest-before"
    tolerance_seconds: Optional[float] = None
    on_gap: str = "trim"
    scale: Union[float, tuple[float, ...]] = 1.0
    offset: Union[float, tuple[float, ...]] = 0.0
    not_finite: Optional[float] = None


@dataclasses.dataclass(frozen=True)
class MappedFeature:
    """A feature and where it comes from.

    Attributes:
      spec: What it is.
      source: Where it comes from.
      derivation: For actions: '' for the field itself, 'next_of' for the fields' value
        at the next step, 'difference_of' for the next step's value less this one's.
      resize: Whether pictures of another size are scaled.
    """

    spec: FeatureSpec
    source: Source
    derivation: str = ""
    resize: bool = False


@dataclasses.dataclass(frozen=True)
class Clock:
    """When the steps of an episode are.

    Attributes:
      stream: A field, each value of which is a step; empty for a fixed rate.
      rate_hz: The fixed rate; with a stream, the rate it is thinned to.
      time: 'log' or 'header': which time of a message counts.
      log_time_topics: Topics without a header, under 'header'.
      max_gap_seconds: Longest time between steps that is no gap.
      on_gap: What a longer one does: 'keep', 'split' in two episodes, or 'reject'.
      late: What becomes of a value earlier than the one before it in its stream:
        'sort' puts it where it belongs, 'drop' leaves it out, 'reject' refuses the
        episode. Empty for 'reject' where a log's own clock ran backwards, else 'sort'.
      timestamp: Whether episodes get the feature 'timestamp'.
    """

    stream: str = ""
    rate_hz: Optional[float] = None
    time: str = "log"
    log_time_topics: tuple[str, ...] = ()
    max_gap_seconds: Optional[float] = None
    on_gap: str = "keep"
    late: str = ""
    timestamp: bool = True


@dataclasses.dataclass(frozen=True)
class Marks:
    """Where episodes begin and end.

    Attributes:
      by: One of `MARKS`.
      field: What is watched: a value ('value', 'stamp_reset', 'column'), or the stream
        whose silence counts ('gap'; empty for all).
      start: 'value': what begins an episode; 'message': the topic whose message does.
      stop: Likewise; None: any other value than `start`.
      seconds: 'gap': how long a silence ends an episode.
      open_end: What becomes of an episode without an end when the log ends: 'reject'
        or 'keep'.
      carry: Whether a stream's last value from before an episode holds at its start
        (only 'value' and 'message').
      min_steps: Shorter episodes are refused.
      max_bytes: Longer ones are refused, since they would not fit into memory.
    """

    by: str = "whole_file"
    field: str = ""
    start: Any = None
    stop: Any = None
    seconds: float = 0.0
    open_end: str = "reject"
    carry: bool = True
    min_steps: int = 2
    max_bytes: int = MAX_EPISODE_BYTES


@dataclasses.dataclass(frozen=True)
class Label:
    """Where something about a whole episode is said.

    Attributes:
      field: A field of the recording; exactly one of the three is given.
      attribute: Something that holds for all of a recording or one of its episodes.
      constant: The value itself.
      at: Which of a field's values: 'first', 'last', 'any' or 'all' (of truths).
      matches: A regular expression: whether it is found in the text is the value.
      success_values: What means success; empty for the usual words and numbers.
      failure_values: What means failure, likewise.
    """

    field: str = ""
    attribute: str = ""
    constant: Any = None
    at: str = "last"
    matches: str = ""
    success_values: tuple[Any, ...] = ()
    failure_values: tuple[Any, ...] = ()


@dataclasses.dataclass(frozen=True)
class Reward:
    """Where rewards come from.

    Attributes:
      source: 'none' (all zero, success unknown), 'success' (1 at the end of a success)
        or 'field'.
      field: The field of 'field'.
      given_with: 'action': a row's reward followed its action; 'next_observation': a
        row's reward came with its observation.
    """

    source: str = "none"
    field: str = ""
    given_with: str = "action"


@dataclasses.dataclass(frozen=True)
class Ending:
    """Whether episodes end for good.

    Attributes:
      kind: 'time_out', 'terminal', 'success' (terminal if it succeeded) or 'field'.
      field: The field of 'field': true somewhere in the episode means terminal.
      terminal_values: Then these do, rather than true: 0 of a discount.
    """

    kind: str = "time_out"
    field: str = ""
    terminal_values: tuple[Any, ...] = ()


@dataclasses.dataclass(frozen=True)
class LogMapping:
    """How recordings of one kind become episodes of one spec.

    Attributes:
      name: Of the episode spec.
      features: All but reward, discount and flags.
      step_seconds: Time from step to step.
      robot: Which robot.
      behaviour_kind: Who acted.
      policy_id: Its name.
      policy_version: Which one of that name.
      clock: When steps are; None where the recording is a table of steps.
      marks: Where episodes begin and end.
      alignment: Of a table's rows, one of `ALIGNMENTS`; empty if not said.
      success: Where success is said; None: unknown.
      language: Where the instruction is said.
      task: Where the task is said.
      scene: Where the arrangement is named.
      objects: Where the objects are named, each.
      label_source: Who says what success was; empty: made of `success`.
      reward: Where rewards come from.
      ending: Whether episodes end for good.
      format: Overrules what the file's bytes say.
      options: For the reader.
    """

    name: str
    features: tuple[MappedFeature, ...]
    step_seconds: float
    robot: str
    behaviour_kind: BehaviourKind
    policy_id: str = ""
    policy_version: str = ""
    clock: Optional[Clock] = None
    marks: Marks = Marks()
    alignment: str = ""
    success: Optional[Label] = None
    language: Label = Label(constant="")
    task: Label = Label(constant="")
    scene: Label = Label(constant="")
    objects: tuple[Label, ...] = ()
    label_source: str = ""
    reward: Reward = Reward()
    ending: Ending = Ending()
    format: str = ""
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def spec(self) -> EpisodeSpec:
        """What the episodes are."""
        features = tuple(feature.spec for feature in self.features)
        if self.clock is not None and self.clock.timestamp:
            features += (TIMESTAMP,)
        return EpisodeSpec(self.name, features, self.step_seconds)

    @property
    def labels(self) -> tuple[Label, ...]:
        """Every label that is looked up."""
        success = (self.success,) if self.success else ()
        return (*success, self.language, self.task, self.scene, *self.objects)

    def fields(self) -> list[str]:
        """Returns every field of the recording that is needed, once."""
        wanted = [field for f in self.features for field in f.source.fields]
        wanted += [self.clock.stream] if self.clock and self.clock.stream else []
        return list(dict.fromkeys([*wanted, *self.verdict_fields()]))

    def verdict_fields(self) -> list[str]:
        """Returns the fields that say how an episode went."""
        wanted = [label.field for label in self.labels if label.field]
        wanted += [f for f in (self.reward.field, self.ending.field) if f]
        return list(dict.fromkeys(wanted))

    def all_fields(self) -> list[str]:
        """Returns every field that a recording is asked for, marks included."""
        return list(dict.fromkeys([*self.fields(), *self.mark_fields()]))

    def mark_fields(self) -> list[str]:
        """Returns the fields that only say where episodes are."""
        marks = [self.marks.field] if self.marks.field else []
        if self.marks.by == "message":
            marks += [m for m in (self.marks.start, self.marks.stop) if m]
        return list(dict.fromkeys(marks))

    def arrival_fields(self) -> list[str]:
        """Returns the fields of which only matters when a message comes."""
        marks, clock = self.marks, self.clock
        read = {field for f in self.features for field in f.source.fields}
        read |= set(self.verdict_fields())
        if marks.by not in ("message", "gap"):
            read.add(marks.field)
        timing = self.mark_fields() + ([clock.stream] if clock else [])
        return [field for field in dict.fromkeys(timing) if field and field not in read]

    def digest(self) -> str:
        """Returns 16 hexadecimal digits that change whenever the mapping does."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
