"""What a policy was measured to achieve, kept with the policy.

Evaluations write it; collectors read it, because a policy that hardly ever succeeds
fills a dataset with failures that teach little.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thresher.episodes.errors import UserError
from thresher.episodes.files import atomic_write

MEASURED_FILE = "measured.json"
# Below, the article's authors saw no use in letting a policy collect.
LEAST_SUCCESS = 0.2


def note_measurement(
    policy: Path, configuration: Mapping[str, Any], successes: int, trials: int
) -> None:
    """Adds an evaluation to a policy's folder; the same one again replaces itself.

    Args:
      policy: The folder of an exported policy.
      configuration: Of the evaluation.
      successes: How often it succeeded.
      trials: Of how many.
    """
    plain = json.loads(json.dumps(dict(configuration), default=str))
    others = [m for m in _measurements(policy) if m["configuration"] != plain]
    latest = {"configuration": plain, "successes": successes, "trials": trials}
    atomic_write(policy / MEASURED_FILE, json.dumps([*others, latest], indent=1) + "\n")


def require_measured_success(policy: Path, world: str) -> None:
    """Refuses a policy that was not measured in a world, or with too little success.

    Of several evaluations the last one counts.

    Raises:
      UserError: With what was measured, and how to force it.
    """
    in_world = [
        m for m in _measurements(policy) if m["configuration"].get("world") == world
    ]
    if not in_world:
        raise UserError(
            f"the success of the policy in {policy} was never measured in {world!r}: "
            f"run `thresher evaluate {policy} --out FOLDER` first, or collect with it "
            "all the same with --force"
        )
    successes, trials = in_world[-1]["successes"], in_world[-1]["trials"]
    if successes < LEAST_SUCCESS * trials:
        raise UserError(
            f"the policy in {policy} succeeded in {successes} of {trials} trials "
            f"({successes / trials:.1%}), below the {LEAST_SUCCESS:.0%} from which a "
            "learned policy is worth collecting with; train on, or use --force"
        )


def _measurements(policy: Path) -> list[dict[str, Any]]:
    path = policy / MEASURED_FILE
    if not path.exists():
        return []
    try:
        found: list[dict[str, Any]] = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(
            f"cannot read {path}: {error}; remove it and evaluate the policy again"
        ) from error
    return found
