"""What the dataset plane should reach, beside what was measured, met or not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from thresher.benchmarks.plane_growth import BUILDS, PLANS
from thresher.benchmarks.plane_inputs import COPIES, EPISODES
from thresher.benchmarks.plane_made import LONG
from thresher.benchmarks.plane_rates import rate
from thresher.benchmarks.plane_runs import Results

_GIB, _MB = 2**30, 1e6


@dataclasses.dataclass(frozen=True)
class Target:
    """A bound and what was measured.

    Attributes:
      what: Is bounded.
      bound: The limit itself still meets the target.
      measured: In the same unit.
      unit: Follows both in print.
      is_most: Whether the bound is from above.
    """

    what: str
    bound: float
    measured: float
    unit: str
    is_most: bool = False

    @property
    def is_met(self) -> bool:
        """Whether what was measured keeps the bound."""
        if self.is_most:
            return self.measured <= self.bound
        return self.measured >= self.bound

    def cells(self) -> list[str]:
        """Returns the row that tells of it."""
        sign = "≤" if self.is_most else "≥"
        return [
            self.what,
            f"{sign} {self.bound:,.5g} {self.unit}".rstrip(),
            f"{self.measured:,.3g} {self.unit}".rstrip(),
            "met" if self.is_met else "**missed**",
        ]


def targets(results: Results) -> Iterator[Target]:
    """Yields every target that something was measured for."""
    if results.all("rate/tfds beam/all/"):
        yield from _of_rates(results)
    if results.all("rate/tfds beam_256/long/"):
        one, peer = (
            rate(results, runner, LONG.name, LONG.episodes).core
            for runner in ("thresher 1", "tfds beam_256")
        )
        what = f"build of {LONG.episodes} long episodes, a core, to TFDS+Beam"
        yield Target(what, 10, one / peer, "times")
    if results.all("derive/tfds beam/all/"):
        yield from _of_derivation(results)
    if results.all("verify/many/"):
        length, wall = (
            results.beyond("verify", ("handful", "many"), field)
            for field in ("bytes", "seconds")
        )
        yield Target("verify, in the page cache", 400, length / wall / _MB, "MB/s")
    yield from _of_memory(results)
    if asked := results.all("query/"):
        slowest = max(one["with_reading"] for one in asked)
        yield Target("slowest question to 1e6 rows", 1, slowest, "s", is_most=True)
    if plan := results.one(f"plan/{PLANS[-1]}"):
        held = plan["memory"]["parent_rss"] / _GIB
        what = f"peak of planning {PLANS[-1]:,} episodes"
        yield Target(what, 4, held, "GiB", is_most=True)
    yield from _of_growth(results)


def _of_rates(results: Results) -> Iterator[Target]:
    one, two, peer = (
        rate(results, runner, "all", EPISODES)
        for runner in ("thresher 1", "thresher 2", "tfds beam")
    )
    what = f"build of {EPISODES:,} episodes, a core, to TFDS+Beam"
    yield Target(what, 10, one.core / peer.core, "times")
    yield Target("two workers to one", 1.7, two.wall / one.wall, "times")


def _of_derivation(results: Results) -> Iterator[Target]:
    derive, ours, peer = (
        results.beyond(f"derive/{way}", ("handful", "all"), "seconds")
        for way in ("derive", "thresher 1", "tfds beam")
    )
    episodes = results.all("derive/derive/all/")[0]["episodes"]
    what = f"derivation of {episodes:,} episodes"
    yield Target(f"{what}, to building them", 10, ours / derive, "times")
    yield Target(f"{what}, to TFDS+Beam", 100, peer / derive, "times")


def _of_memory(results: Results) -> Iterator[Target]:
    sizes = ("handful", "all", "many")
    held = {
        workers: [results.one(f"memory/{size}/{workers}") for size in sizes]
        for workers in (1, 2)
    }
    if not all(one for found in held.values() for one in found):
        return
    peaks = [
        tuple(one["memory"][name] for one in found)
        for found in held.values()
        for name in ("parent_uss", "parent_rss", "worker_uss", "worker_rss", "tree_pss")
        if name in found[0]["memory"]
    ]
    worst = max(fifty / five - 1 for _, five, fifty in peaks)
    what = f"most growth of a peak, {EPISODES:,} to {EPISODES * COPIES:,} episodes"
    yield Target(what, 10, worst * 100, "%", is_most=True)
    beyond = max(fifty - few for few, _, fifty in peaks)
    yield Target("most beyond imports", 1024, beyond / 2**20, "MiB", is_most=True)


def _of_growth(results: Results) -> Iterator[Target]:
    found = [results.one(f"growth/{number}") for number in BUILDS]
    if not all(found):
        return
    first, middle, last = (one["cpu_seconds"] for one in found)
    each = (middle - first) / (BUILDS[1] - BUILDS[0])
    later = (last - middle) / (BUILDS[2] - BUILDS[1])
    what = f"an episode, from {BUILDS[1]:,} to {BUILDS[2]:,}, to one before"
    yield Target(what, 1.1, later / each, "times", is_most=True)
