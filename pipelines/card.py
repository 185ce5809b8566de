"""The dataset card: README.md of a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thresher.episodes.spec import EpisodeSpec


def dataset_card(
    spec: EpisodeSpec, lineage: Mapping[str, Any], splits: Mapping[str, int]
) -> str:
    """Returns the card as Markdown.

    Args:
      spec: What the episodes are.
      lineage: What lineage.json holds.
      splits: Episodes of each split.
    """
    recipe = lineage["recipe"]
    parts = [
        f"# {recipe['name']} {recipe['version']}\n\n{recipe['description']}\n",
        "## Episodes\n\n" + _table(("split", "episodes"), list(splits.items())),
        "## Successes and failures\n\n" + _ratio_table(lineage["success_ratio"]),
        "## Left out\n\n" + _exclusions(lineage["excluded"]),
        "## Features\n\nStep t holds observation, action, and the reward and discount "
        "that followed; the action, reward and discount of the last step mean "
        "nothing.\n\n" + _feature_table(spec),
        "## Made from\n\n" + _sources(lineage),
        "## Load\n\n```python\nimport tensorflow_datasets as tfds\n\n"
        "builder = tfds.builder_from_directory(PATH_TO_THIS_FOLDER)\n"
        'episodes = builder.as_dataset(split="train")\n```\n',
    ]
    return "\n".join(parts)


def _ratio_table(stages: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for stage in stages:
        yes, no = stage["successes"], stage["failures"]
        ratio = f"{yes / (yes + no):.1%}" if yes + no else "–"
        rows.append((stage["name"], yes, no, ratio))
    return _table(("stage", "successes", "failures", "success ratio"), rows)


def _exclusions(excluded: Mapping[str, Mapping[str, int]]) -> str:
    rows = [
        (stage, reason, count)
        for stage, reasons in excluded.items()
        for reason, count in reasons.items()
    ]
    if not rows:
        return "Nothing.\n"
    return (
        _table(("stage", "reason", "episodes"), rows)
        + "\nEach one, with its full reason: `excluded.parquet`.\n"
    )


def _feature_table(spec: EpisodeSpec) -> str:
    return _table(
        ("feature", "shape", "type", "unit", "range", "meaning"),
        [
            (
                f"`{feature.name}`",
                list(feature.shape),
                feature.dtype + (f" ({feature.encoding})" if feature.is_image else ""),
                feature.unit,
                ""
                if feature.minimum is None and feature.maximum is None
                else f"{feature.minimum} … {feature.maximum}",
                feature.doc,
            )
            for feature in spec.all_features
        ],
    )


def _sources(lineage: Mapping[str, Any]) -> str:
    logs = lineage["raw_logs"]
    return (
        f"{sum(log['episodes'] for log in logs):,} episodes in {len(logs):,} raw logs "
        f"(`lineage.json` has the digest of each), by code revision "
        f"`{lineage['code_revision']}`.\n"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(c) for c in line)} |" for line in lines) + "\n"
