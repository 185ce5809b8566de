"""What is true about an episode and travels with it."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping
from typing import Any, Union


class Success(str, enum.Enum):
    """Whether the task was done."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class BehaviourKind(str, enum.Enum):
    """Who acted."""

    RANDOM = "random"
    SCRIPTED = "scripted"
    TELEOPERATED = "teleoperated"
    LEARNED = "learned"
    INTERVENTION = "intervention"
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How the episode went.

    Attributes:
      success: Yes, no, or unknown.
      episode_return: Undiscounted sum of rewards.
      label_source: Who says so: 'simulator', 'human:NAME', 'classifier@VERSION'.
      confidence: Probability, in [0, 1], that the label is right.
    """

    success: Success
    episode_return: float
    label_source: str
    confidence: float = 1.0


@dataclasses.dataclass(frozen=True)
class Behaviour:
    """Who acted, and how much at random.

    Attributes:
      kind: The kind of behaviour policy.
      policy_id: Its name.
      policy_version: Which one of that name.
      noise: Exploration noise by name, in the policy's own units.
    """

    kind: BehaviourKind
    policy_id: str
    policy_version: str
    noise: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where the episode's bytes came from.

    Attributes:
      source_file: The file's name, relative to the source's root.
      position: Where in it: 'bytes 120-9000', 'row 7'.
      source_digest: SHA-256 of the source's bytes; empty for what was never a file.
      converter: What made an episode of it.
      converter_revision: Which revision of that.
    """

    source_file: str = ""
    position: str = ""
    source_digest: str = ""
    converter: str = ""
    converter_revision: str = ""


@dataclasses.dataclass(frozen=True)
class EpisodeMetadata:
    """Everything about an episode that is not a per-step array.

    Attributes:
      source_id: Unique within its source, for people: 'seed7/000123'.
      task: What was to be done.
      robot: Which robot, or which model of one.
      scene_id: Names the arrangement of the world at the start.
      object_ids: The objects that were in it.
      language: Instruction in natural language; empty for none.
      start_time_ns: Start on the recorder's clock, in nanoseconds.
      environment: Parameters the world drew: friction, latency, camera pose.
      outcome: How it went.
      behaviour: Who acted.
      provenance: Where its bytes came from.
      other_labels: Success as further labellers see it, by who says so.
    """

    source_id: str
    task: str
    robot: str
    scene_id: str
    object_ids: tuple[str, ...]
    language: str
    start_time_ns: int
    environment: Mapping[str, Union[float, str]]
    outcome: Outcome
    behaviour: Behaviour
    provenance: Provenance = Provenance()
    other_labels: Mapping[str, Success] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> EpisodeMetadata:
        """Reads what `to_dict` returned, also after a trip through JSON."""
        outcome = {**raw["outcome"], "success": Success(raw["outcome"]["success"])}
        behaviour = {
            **raw["behaviour"],
            "kind": BehaviourKind(raw["behaviour"]["kind"]),
        }
        return cls(
            **{
                **raw,
                "object_ids": tuple(raw["object_ids"]),
                "outcome": Outcome(**outcome),
                "behaviour": Behaviour(**behaviour),
                "provenance": Provenance(**raw["provenance"]),
                "other_labels": {
                    source: Success(label)
                    for source, label in raw.get("other_labels", {}).items()
                },
            }
        )

    def to_json(self) -> str:
        """Returns the metadata as one line of JSON with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True)
