"""One screen about a version: what is in it, how balanced, made from what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from thresher.episodes.version import Version


def overview(version: Version) -> Iterator[str]:
    """Yields lines of text."""
    size = sum(path.stat().st_size for path in version.path.iterdir())
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
    names = ("split", "num_steps", "success")
    rows = list(zip(*(version.index[name].to_pylist() for name in names)))
    for split in sorted({split for split, _, _ in rows}):
        steps = [count for name, count, _ in rows if name == split]
        outcomes = Counter(success for name, _, success in rows if name == split)
        known = outcomes["yes"] + outcomes["no"]
        share = f"{outcomes['yes'] / known:.1%}" if known else "unknown"
        yield f"{split:<10}{len(steps):>10,}{sum(steps):>12,}{share:>10}"


def _history_lines(version: Version) -> Iterator[str]:
    lineage = version.lineage
    logs, counts = lineage["raw_logs"], lineage["episodes"]
    yield (
        f"from {counts['indexed']:,} episodes in {len(logs):,} raw logs, "
        f"{counts['written']:,} written"
    )
    for stage, reasons in sorted(lineage["excluded"].items()):
        told = ", ".join(f"{why} {count:,}" for why, count in sorted(reasons.items()))
        yield f"  left out by {stage}: {told}"
    yield f"code {lineage['code_revision']}"
