"""What a dataset is made by: the few choices that decide every byte of a version."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, Optional

from thresher.episodes.errors import UserError, unknown_name
from thresher.pipelines.checks import Check, merged_checks
from thresher.pipelines.ingest.relabel import REWARDS
from thresher.pipelines.plan import PlanConfig
from thresher.pipelines.rebalance import METHODS, RebalanceConfig
from thresher.pipelines.split import SplitConfig

_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
# Of a dataset and a split together: with what shards, their manifests and scratch files
# add, a file's name has at most 255.
MOST_LETTERS = 180
NEAR_DUPLICATES = ("report", "drop")


def require_name(what: str, name: str) -> None:
    """Refuses a name that files, folders and TFDS cannot take.

    Raises:
      UserError: Says what a name is made of.
    """
    if not _NAME.fullmatch(name) or len(name) > MOST_LETTERS:
        raise UserError(
            f"{name!r} cannot name a {what}: use lower-case letters, digits and '_', "
            f"at most {MOST_LETTERS}, beginning with a letter, as in 'bin_grasping'"
        )


@dataclasses.dataclass(frozen=True)
class SourceConfig:
    """Where episodes come from; exactly one of `logs` and `version` is given.

    Attributes:
      logs: Folder of raw logs, or a file or glob of other recordings.
      mapping: Mapping file that makes episodes of recordings; empty for raw logs.
      version: Folder of a sealed version, whose records are copied.
      weight: Share of its episodes in the training split, relative to the others'.
      where: Condition that its episodes must meet.
    """

    logs: str = ""
    mapping: str = ""
    version: str = ""
    weight: float = 0.0
    where: str = ""

    def __post_init__(self) -> None:
        if bool(self.logs) == bool(self.version):
            raise UserError(
                f"a source names either logs or a version, not {self.logs!r} and "
                f"{self.version!r}"
            )
        if self.mapping and not self.logs:
            raise UserError(f"mapping {self.mapping!r} needs the logs that it maps")
        if not 0 <= self.weight < 1e6:
            raise UserError(
                f"a source's weight must be positive and below a million, not "
                f"{self.weight}"
            )


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How episodes become a version.

    Attributes:
      name: The dataset's name.
      version: 'major.minor.patch'; other records are another major version.
      description: What is in it, for people.
      sources: Where episodes come from; none: the folder that the build is given.
      labels: Annotation files whose labels replace the recorded ones, in order.
      label_rewards: 'keep', or 'from-success': rewards follow from new labels.
      checks: Changes to the default checks, by name.
      release: Conditions over (index columns, check, message) that let episodes go
        that a check would set aside.
      where: Condition that every episode must meet.
      near_duplicates: 'report' or 'drop': episodes with the same actions whose first
        and last frames look the same.
      split: How episodes are divided.
      rebalance: What mix the training split is brought to; None leaves it.
      mix: How sources with weights are brought to them: a method of rebalancing.
      plan: How episodes are laid out.
      config: Name of the variant, where a dataset has several.
    """

    name: str
    version: str
    description: str
    sources: tuple[SourceConfig, ...] = ()
    labels: tuple[str, ...] = ()
    label_rewards: str = "keep"
    checks: Mapping[str, Check] = dataclasses.field(default_factory=dict)
    release: tuple[str, ...] = ()
    where: str = ""
    near_duplicates: str = "report"
    split: SplitConfig = dataclasses.field(default_factory=SplitConfig)
    rebalance: Optional[RebalanceConfig] = dataclasses.field(
        default_factory=RebalanceConfig
    )
    mix: str = "downsample"
    plan: PlanConfig = dataclasses.field(default_factory=PlanConfig)
    config: str = ""

    def __post_init__(self) -> None:
        require_name("dataset", self.name)
        require_name("config", self.config or "x")
        longest = max(self.split.names, key=len)
        if len(self.name) + len(longest) > MOST_LETTERS:
            raise UserError(
                f"the names of dataset {self.name!r} and split {longest!r} have "
                f"{len(self.name) + len(longest)} letters together; files are named "
                f"by both, so choose shorter ones, of at most {MOST_LETTERS}"
            )
        if not _VERSION.fullmatch(self.version):
            raise UserError(
                f"version {self.version!r} of {self.name} is not 'major.minor.patch'; "
                "write it as '1.0.0'"
            )
        if self.near_duplicates not in NEAR_DUPLICATES:
            raise unknown_name(
                "treatment of near duplicates", self.near_duplicates, NEAR_DUPLICATES
            )
        if self.label_rewards not in REWARDS:
            raise unknown_name("treatment of rewards", self.label_rewards, REWARDS)
        if self.mix not in METHODS:
            raise unknown_name("way to mix sources", self.mix, METHODS)
        weighted = [source.weight > 0 for source in self.sources]
        if any(weighted) and not all(weighted):
            raise UserError(
                f"{self.name}: some sources have a weight and some have none; give "
                "one to each, or to none"
            )
        merged_checks(self.checks)

    @property
    def is_mixed(self) -> bool:
        """Whether the training split is brought to the sources' weights."""
        return any(source.weight > 0 for source in self.sources)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, the same before and after a trip through JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain
