"""Labels of the index that differ from those recorded: put into episodes as written."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from thresher.episodes.episode import Episode
from thresher.episodes.metadata import Success


def relabelled(episode: Episode, row: Mapping[str, Any]) -> Episode:
    """Returns an episode with the labels of its index row; steps are not touched.

    Args:
      episode: As recorded.
      row: Its row; only looked at if `relabelled` is set.
    """
    if not row["relabelled"]:
        return episode
    labels = json.loads(row["other_labels"])
    outcome = dataclasses.replace(
        episode.metadata.outcome,
        success=Success(row["success"]),
        label_source=row["label_source"],
        confidence=row["confidence"],
    )
    metadata = dataclasses.replace(
        episode.metadata,
        outcome=outcome,
        task=row["task"],
        language=row["language"],
        other_labels={source: Success(label) for source, label in labels.items()},
    )
    return dataclasses.replace(episode, metadata=metadata)
