"""The one interface of everything that learns a policy from transitions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Learner(Protocol):
    """Learns from batches, acts, and can be kept and shipped.

    Batches are TF-Agents Transitions whose next time step lies up to `n_step` steps
    ahead; `train.py` makes them as the learner asks by these attributes:

      n_step: Steps summed before bootstrapping; None for the whole episode.
      discount: gamma per step.
      targets: What to call the targets: 'td', 'n-step' or 'monte-carlo'.
      name: The learner's name in the registry.
    """

    name: str
    n_step: int | None
    discount: float
    targets: str

    def require_trainable(self, cache: Any) -> None:
        """Raises UserError if a transition cache cannot be learned from."""

    def train_on(self, batch: Any) -> Mapping[str, Any]:
        """Takes one gradient step; returns scalars worth logging."""

    def evaluate_on(self, batch: Any) -> Mapping[str, Any]:
        """Returns scalars about a batch without learning from it."""

    def act(self, observation: Mapping[str, Any], seed: Any) -> Any:
        """Returns actions, float32 [B, A]; two integers seed what is random."""

    def value(self, observation: Mapping[str, Any], action: Any) -> Any:
        """Returns the value of one action per observation, float32 [B]."""

    def trackable(self) -> Any:
        """Returns a TensorFlow trackable of all that training changes."""

    def save(self, prefix: Path) -> None:
        """Writes `trackable()` to files that begin with `prefix`."""

    def restore(self, prefix: Path) -> None:
        """Reads what `save` wrote."""

    def export(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Writes a policy folder that runs without our code."""
