"""What a dataset is made by: the few choices that decide every byte of a version."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, Optional

from thresher.episodes.errors import UserError
from thresher.pipelines.plan import PlanConfig
from thresher.pipelines.rebalance import RebalanceConfig
from thresher.pipelines.split import SplitConfig

_VERSION = re.compile(r"\d+\.\d+\.\d+")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How raw logs become a version.

    Attributes:
      name: The dataset's name.
      version: 'major.minor.patch'; other records are another major version.
      description: What is in it, for people.
      split: How episodes are divided.
      rebalance: What mix the training split is brought to; None leaves it.
      plan: How episodes are laid out.
    """

    name: str
    version: str
    description: str
    split: SplitConfig = dataclasses.field(default_factory=SplitConfig)
    rebalance: Optional[RebalanceConfig] = dataclasses.field(
        default_factory=RebalanceConfig
    )
    plan: PlanConfig = dataclasses.field(default_factory=PlanConfig)

    def __post_init__(self) -> None:
        if not _VERSION.fullmatch(self.version):
            raise UserError(
                f"version {self.version!r} of {self.name} is not 'major.minor.patch'; "
                "write it as '1.0.0'"
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, the same before and after a trip through JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain
