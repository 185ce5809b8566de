"""The dataset card: README.md of a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.version import PICTURE

_SHOWN_ENTRIES = 8
_ACROSS = "\n{} near duplicates stand in more than one split: perhaps a leak.\n"
_LIMITED = (
    "After that at most {} examples of each split were kept (stage `limit`); what is "
    "told of afterwards is what is left.\n"
)
_PICTURE_NOTE = (
    "The first successes (green) and failures (orange) of the training split.\n"
)
_ALIGNMENT = {
    "rlds": "Step t holds observation, action, and the reward and discount that "
    "followed; the action, reward and discount of the last step mean nothing.",
    "oxe": "OXE alignment: the last step holds a valid action and the last reward; the "
    "final observation is left out.",
}


def dataset_card(
    spec: EpisodeSpec,
    lineage: Mapping[str, Any],
    splits: Mapping[str, int],
    statistics: Mapping[str, Any],
    *,
    has_picture: bool,
) -> str:
    """Returns the card as Markdown.

    Args:
      spec: What the episodes are.
      lineage: What lineage.json holds.
      splits: Records of each split.
      statistics: What statistics.json holds.
      has_picture: Whether there is a picture of some episodes beside it.
    """
    recipe = lineage["recipe"]
    picture = f"![Some episodes, first frame to last]({PICTURE})\n\n" + _PICTURE_NOTE
    parts = [
        f"# {recipe['name']} {recipe['version']}\n\n{recipe['description'].strip()}\n",
        picture if has_picture else "",
        "## Episodes\n\n" + _table(("split", "episodes"), sorted(splits.items())),
        "## Successes and failures\n\n" + _ratio_table(lineage["success_ratio"]),
        _rebalancing(lineage),
        "## Left out\n\n" + _exclusions(lineage["excluded"]),
        _flags(lineage),
        f"## Features\n\n{_ALIGNMENT[spec.alignment]}\n\n" + _feature_table(spec),
        "## Statistics\n\n" + _statistics_table(statistics),
        "## Made from\n\n" + _sources(lineage),
        "## Load\n\n```python\nimport tensorflow_datasets as tfds\n\n"
        "builder = tfds.builder_from_directory(PATH_TO_THIS_FOLDER)\n"
        'episodes = builder.as_dataset(split="train")\n```\n',
    ]
    return "\n".join(part for part in parts if part)


def _ratio_table(stages: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for stage in stages:
        yes, no = stage["successes"], stage["failures"]
        ratio = f"{yes / (yes + no):.1%}" if yes + no else "–"
        rows.append((stage["name"], yes, no, ratio))
    return _table(("stage", "successes", "failures", "success ratio"), rows)


def _rebalancing(lineage: Mapping[str, Any]) -> str:
    parts = []
    if lineage["rebalanced"]:
        rows: list[Sequence[Any]] = [
            (
                ", ".join(stratum["stratum"]) or "all",
                stratum["method"],
                "{} / {}".format(*stratum["before"]),
                "{} / {}".format(*stratum["after"]),
                f"{stratum['asked']:.1%}",
                f"{stratum['achieved']:.1%}",
                stratum["unknown"],
            )
            for stratum in lineage["rebalanced"]
        ]
        names = "stratum method before after asked achieved unknown"
        parts.append(
            "Training split by stratum, successes / failures. Dropped episodes are in "
            "`excluded.parquet` (stage `rebalance`), repeated ones in "
            "`episodes.parquet` (`copy` above 0).\n\n" + _table(names.split(), rows)
        )
    if lineage["mixed"]:
        shares = [
            (
                source["source"],
                source["before"],
                source["after"],
                f"{source['asked']:.1%}",
                f"{source['achieved']:.1%}",
            )
            for source in lineage["mixed"]
        ]
        head = ("source", "episodes", "written", "share asked", "share achieved")
        parts.append("Training split by source.\n\n" + _table(head, shares))
    most = lineage["recipe"]["plan"]["max_examples_per_split"]
    if parts and most:
        parts.append(_LIMITED.format(most))
    return "\n".join(parts)


def _flags(lineage: Mapping[str, Any]) -> str:
    if not lineage["flags"] and not lineage["episodes"]["released"]:
        return ""
    rows = list(lineage["flags"].items())
    released = lineage["episodes"]["released"]
    across = lineage["episodes"]["near_duplicates_across_splits"]
    return (
        "## To look at\n\nEpisodes that are in, and that a check remarked on "
        "(`flags` in `episodes.parquet`).\n\n"
        + _table(("check", "episodes"), rows)
        + (_ACROSS.format(across) if across else "")
        + (f"\n{released} of them were let go by a rule.\n" if released else "")
    )


def _statistics_table(statistics: Mapping[str, Any]) -> str:
    split = "train" if "train" in statistics else next(iter(statistics), "")
    rows = [
        (f"`{name}`", *(_short(facts[key]) for key in ("mean", "std", "min", "max")))
        for name, facts in statistics.get(split, {}).items()
    ]
    return (
        f"Of the {split} split; images by their first frame, a channel each. All "
        "splits, with quantiles: `statistics.json`.\n\n"
        + _table(("feature", "mean", "std", "min", "max"), rows)
    )


def _short(values: Sequence[float]) -> str:
    shown = ", ".join(f"{value:.3g}" for value in values[:_SHOWN_ENTRIES])
    return shown + (", …" if len(values) > _SHOWN_ENTRIES else "")


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
        _parents(lineage["parents"])
        + _ingested(lineage["ingested"])
        + f"{sum(log['episodes'] for log in logs):,} episodes in {len(logs):,} raw "
        f"logs (`lineage.json` has the digest of each), by code revision "
        f"`{lineage['code_revision']}`.\n"
    )


def _ingested(ingested: Mapping[str, Any]) -> str:
    if not ingested:
        return ""
    names = ("recordings", "unread", "episodes", "quarantined", "read", "used")
    rows = [(source, *(t[name] for name in names)) for source, t in ingested.items()]
    head = ("recordings of", *names[:4], "messages read", "messages used")
    return _table(head, rows) + "\nEach recording, with reasons: `ingest.json`.\n\n"


def _parents(parents: Sequence[Mapping[str, Any]]) -> str:
    if not parents:
        return ""
    rows = [(p["name"], p["version"], f"`{p['digest'][:16]}`") for p in parents]
    return _table(("parent", "version", "digest"), rows) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(c) for c in line)} |" for line in lines) + "\n"
