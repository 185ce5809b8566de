"""Changes what is said about an episode, in its index row and in its record alike."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thresher.episodes.episode import Episode
from thresher.episodes.errors import unknown_name
from thresher.episodes.metadata import Success
from thresher.pipelines.ingest.annotation_file import Statement

REWARDS = ("keep", "from-success")
_NOT_LABELLED = ("", "none")


def change_row(
    row: Mapping[str, Any], settled: Mapping[str, tuple[Any, Sequence[Statement]]]
) -> dict[str, Any]:
    """Returns an index row with what annotations say.

    Args:
      row: success, label_source, confidence, other_labels (JSON), language, task,
        environment (JSON), and quality where the index has it.
      settled: By label, its value and who says so: several if they contradict each
        other.
    """
    changed = dict(row)
    for column in ("language", "task"):
        if column in settled:
            changed[column] = settled[column][0]
    if "quality" in settled:
        if "quality" in changed:
            changed["quality"] = settled["quality"][0]
        else:
            environment = {**json.loads(row["environment"] or "{}")}
            environment["quality"] = settled["quality"][0]
            changed["environment"] = json.dumps(environment, sort_keys=True)
    if "success" in settled:
        changed.update(_success(row, *settled["success"]))
    return changed


def _success(
    row: Mapping[str, Any], value: str, said: Sequence[Statement]
) -> dict[str, Any]:
    labels = dict(json.loads(row["other_labels"] or "{}"))
    if row["label_source"] not in _NOT_LABELLED:
        labels[row["label_source"]] = row["success"]
    if len(said) > 1:
        source = "annotations that disagree"
        labels.update(_each_said(said))
    else:
        source = _source(said[0])
    labels.pop(source, None)
    known = value != Success.UNKNOWN.value
    return {
        "success": value,
        "label_source": source,
        "confidence": said[0].confidence if known else 0.0,
        "other_labels": json.dumps(labels, sort_keys=True),
    }


def _each_said(said: Sequence[Statement]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for statement in said:
        source = _source(statement)
        # Who contradicts himself is told apart by the row.
        source = f"{source} ({statement.where})" if source in labels else source
        labels[source] = statement.values["success"]
    return labels


def _source(said: Statement) -> str:
    return f"human:{said.labeller}" if said.labeller else f"annotation:{said.where}"


def relabel(episode: Episode, row: Mapping[str, Any], reward: str = "keep") -> Episode:
    """Returns an episode whose metadata says what its index row says.

    The episode's id stays: it is of its steps, which `reward='keep'` leaves alone.

    Args:
      episode: As the raw log has it.
      row: Its row of the annotated index.
      reward: 'keep': rewards stay, and an episode whose 0/1 reward contradicts its
        new label breaks the contract's rule 'outcome', which sets it aside.
        'from-success': rewards become 0, and 1 on the last action of a success; the
        steps change, and with them the id.

    Raises:
      UserError: `reward` is neither.
    """
    if reward not in REWARDS:
        raise unknown_name("reward policy", reward, REWARDS)
    steps = dict(episode.steps)
    success = Success(row["success"])
    if reward == "from-success":
        rewards = np.zeros(episode.num_steps, np.float32)
        rewards[-2] = float(success == Success.YES)
        steps["reward"] = rewards
    total = float(np.sum(np.asarray(steps["reward"]), dtype=np.float64))
    metadata = episode.metadata
    outcome = dataclasses.replace(
        metadata.outcome,
        success=success,
        label_source=row["label_source"],
        confidence=row["confidence"],
        episode_return=total,
    )
    environment = dict(json.loads(row.get("environment") or "{}"))
    if row.get("quality") is not None:
        environment["quality"] = row["quality"]
    labels = json.loads(row.get("other_labels") or "{}")
    changed = dataclasses.replace(
        metadata,
        task=row["task"],
        language=row["language"],
        environment=environment or metadata.environment,
        outcome=outcome,
        other_labels={source: Success(label) for source, label in labels.items()},
    )
    return Episode(steps, changed)
