"""One screen about a version: what is in it, how balanced, made from what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from thresher.episodes.version import Version, side_files


def overview(version: Version) -> Iterator[str]:
    """Yields lines of text.

    Raises:
      UserError: The version's side files do not hold what a seal writes.
    """
    with side_files(version.path):
        yield from _lines(version)


def _lines(version: Version) -> Iterator[str]:
    size = sum(path.lstat().st_size for path in version.path.iterdir())
    yield f"{version.name} {version.version}  ({size / 2**20:,.1f} MiB)"
    yield f"digest {version.digest[:16]}  spec {version.spec.digest()}"
    yield version.lineage["recipe"]["description"]
    yield ""
    yield f"{'split':<10}{'episodes':>10}{'steps':>12}{'success':>10}"
    yield from _split_lines(version)
    yield ""
    for feature in version.spec.features:
        shape = "×".join(map(str, feature.shape)) or "scalar"
        unit = f" {feature.unit}" if feature.unit else ""
        yield f"  {feature.name}  {feature.dtype} {shape}{unit}"
    yield ""
    yield from _history_lines(version)


def _split_lines(version: Version) -> Iterator[str]:
    names = ("split", "num_steps", "success", "sampling_weight")
    rows = list(zip(*(version.columns(names)[name].to_pylist() for name in names)))
    for split in sorted({row[0] for row in rows}):
        mine = [row for row in rows if row[0] == split]
        mass: Counter[str] = Counter()
        for _, _, success, weight in mine:
            mass[success] += weight
        known = mass["yes"] + mass["no"]
        share = f"{mass['yes'] / known:.1%}" if known else "unknown"
        steps = sum(row[1] for row in mine)
        yield f"{split:<10}{len(mine):>10,}{steps:>12,}{share:>10}"
    for stratum in version.lineage["rebalanced"]:
        yield (
            f"  {', '.join(stratum['stratum']) or 'all'}: {stratum['method']} to "
            f"{stratum['asked']:.1%}, achieved {stratum['achieved']:.1%}, successes / "
            f"failures {'{} / {}'.format(*stratum['before'])} → "
            f"{'{} / {}'.format(*stratum['after'])}"
        )
    for source in version.lineage["mixed"]:
        yield (
            f"  {source['source']}: share {source['asked']:.1%} asked, "
            f"{source['achieved']:.1%} achieved"
        )
    most = version.lineage["recipe"]["plan"]["max_examples_per_split"]
    if most and (version.lineage["rebalanced"] or version.lineage["mixed"]):
        yield f"  after that at most {most:,} examples a split; told is what is left"


def _history_lines(version: Version) -> Iterator[str]:
    lineage = version.lineage
    logs, counts = lineage["raw_logs"], lineage["episodes"]
    for parent in lineage["parents"]:
        yield f"from {parent['name']} {parent['version']} ({parent['digest'][:16]})"
    yield (
        f"from {counts['indexed']:,} episodes in {len(logs):,} raw logs, "
        f"{counts['written']:,} written"
    )
    for stage, reasons in sorted(lineage["excluded"].items()):
        told = ", ".join(f"{why} {count:,}" for why, count in sorted(reasons.items()))
        yield f"  left out by {stage}: {told}"
    across = counts.get("near_duplicates_across_splits", 0)
    if across:
        yield f"  near duplicates stand in more than one split: {across:,}"
    if lineage["flags"]:
        told = ", ".join(f"{why} {n:,}" for why, n in lineage["flags"].items())
        yield f"  flagged: {told}"
    yield f"code {lineage['code_revision']}"
