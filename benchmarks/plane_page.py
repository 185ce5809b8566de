"""Writes docs/results/dataset_plane.md from what was measured, target beside result."""

from __future__ import annotations

import os
import platform
import textwrap
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from thresher.benchmarks.plane_growth import BUILDS, PLANS
from thresher.benchmarks.plane_inputs import COPIES, EPISODES
from thresher.benchmarks.plane_made import LONG, TRIAL
from thresher.benchmarks.plane_rates import (
    LONG_RUNNERS,
    RUNNERS,
    TRIAL_RUNNERS,
    Rate,
    rate,
)
from thresher.benchmarks.plane_runs import Results
from thresher.benchmarks.plane_targets import targets

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results" / "dataset_plane.md"
_PACKAGES = ("tensorflow-datasets", "apache-beam", "tensorflow", "pyarrow", "duckdb")
_GIB, _MB, _WIDTH = 2**30, 1e6, 88


def write_page(results: Results) -> None:
    """Writes the page; what was not measured is left out."""
    sections = (_targets, _rates, _memory, _derivation, _queries, _plans, _growth)
    parts = [_head(results), *(section(results) for section in sections)]
    PAGE.write_text("\n\n".join(part for part in parts if part) + "\n")
    print(PAGE.read_text())


def _head(results: Results) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    loads = [one["load_before"] for one in results.all("")]
    told = (
        f"{os.cpu_count()} processors ({_processor()}), {platform.platform()}, Python "
        f"{platform.python_version()}, {packages}; {_codes(results)}."
    )
    return f"""# The dataset plane, measured

{EPISODES:,} grasping episodes of the scripted policy (64×64 PNG, 11 kB each), collected
once; peers build the same episodes in the same run. Start-up, which is what the same
command takes for a handful of episodes, is left out of every rate. A rate a core is by
processor time of all processes, since other work shared the machine: its load average
before each run was {min(loads):.1f} to {max(loads):.1f}, {median(loads):.1f} in the
middle. Medians of the repeats. Written by `benchmarks/dataset_plane.py`:

    python -m thresher.benchmarks.dataset_plane all --work runs/dataset_plane

{textwrap.fill(told, _WIDTH, break_long_words=False)}"""


def _codes(results: Results) -> str:
    """Tells which code was measured when; steps may be of different sessions."""
    steps: dict[tuple[str, str], list[str]] = {}
    for one in results.all(""):
        step = one["what"].split("/")[0]
        found = steps.setdefault((one["date"], one["code"]), [])
        if step not in found:
            found.append(step)
    told = [f"code `{code}`, {date}" for date, code in steps]
    if len(told) > 1:
        told = [f"{', '.join(s)}: {text}" for s, text in zip(steps.values(), told)]
    return "; ".join(told)


def _targets(results: Results) -> str:
    rows = [target.cells() for target in targets(results)]
    return f"""## Targets

{_table(["", "asked", "measured", ""], rows)}

Where pictures weigh what robots record, TFDS encodes them and Thresher passes them
on. With four small pictures an episode, what is left is the handling of episodes.
{_floor(results)}"""


def _floor(results: Results) -> str:
    """Tells what no builder that goes through TFDS can be faster than."""
    found = [one["each"] for one in results.all("floor/")]
    if not found or not results.all("rate/tfds beam/all/"):
        return ""
    peer = 1e3 / rate(results, "tfds beam", "all", EPISODES).core
    floor = median(found) * 1e3
    told = (
        f"Of the {peer:.2f} ms that TFDS+Beam takes for one, TFDS's own encoding and "
        f"serialising, of frames passed through as they are, takes {floor:.2f} ms: a "
        f"builder that did nothing else, no reading, no check, no file, would be "
        f"{peer / floor:.1f} times as fast, so that ten times are out of reach through "
        f"TFDS. Thresher encodes without it; ten times would leave {peer / 10:.2f} ms "
        f"to read, check, write and prove an episode, and a hundred times "
        f"{peer * 10:.0f} µs to copy and prove one."
    )
    return textwrap.fill(told, _WIDTH)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rates(results: Results) -> str:
    if not results.all("rate/tfds beam/all/"):
        return ""
    text = f"""## Episodes a second

Thresher's rate holds everything: reading raw logs, contract and checks, records,
statistics, and the proof, which reads every shard back. TFDS's reads one `.npz` an
episode, encodes and serialises. All {EPISODES:,} are written, in 8 shards a split.

{_rate_table(results, RUNNERS, "all", EPISODES, "tfds beam")}

These episodes have four steps of small, smooth pictures, which take TFDS little time to
encode; what is left is the handling of episodes, in which Thresher also reads logs,
measures, hashes, summarises and reads all of it back."""
    return "\n\n".join([text, *_long_rates(results), *_trial_rates(results)])


def _trial_rates(results: Results) -> list[str]:
    if not results.all("rate/tfds beam/trial/"):
        return []
    return [
        f"""{TRIAL.episodes:,} episodes as in the trial that the targets were set by:
{TRIAL.steps} steps of {TRIAL.side}×{TRIAL.side} random pixels, 115 kB each.

{_rate_table(results, TRIAL_RUNNERS, TRIAL.name, TRIAL.episodes, "tfds beam")}"""
    ]


def _long_rates(results: Results) -> list[str]:
    if not results.all("rate/tfds beam_256/long/"):
        return []
    return [
        f"""{LONG.episodes} episodes as long, with frames as large, as robots record:
{LONG.steps} steps of {LONG.side}×{LONG.side} pixels, the same frames enlarged, with a
sensor's noise. `derive` copies the records of the version that `thresher 1` builds.

{_rate_table(results, LONG_RUNNERS, LONG.name, LONG.episodes, "tfds beam_256")}"""
    ]


def _rate_table(
    results: Results, runners: tuple[str, ...], size: str, episodes: int, peer: str
) -> str:
    base: Rate = rate(results, peer, size, episodes)
    rows = []
    for runner in runners:
        ours = rate(results, runner, size, episodes)
        rows.append(
            [
                runner,
                f"{ours.wall:.3g}",
                f"{ours.wall / base.wall:.1f}",
                f"{ours.core:.3g}",
                f"{ours.core / base.core:.1f}",
                f"{ours.startup:.1f} s",
                str(ours.repeats),
            ]
        )
    heads = ["", "a second, wall", f"to {peer}", "a second and core", f"to {peer}"]
    return _table([*heads, "start-up", "repeats"], rows)


def _memory(results: Results) -> str:
    rows = []
    for workers in (1, 2):
        kind = "parent" if workers == 1 else "worker"
        sizes = ("handful", "all", "many")
        found = [results.one(f"memory/{size}/{workers}") for size in sizes]
        if not all(found):
            continue
        held = [one["memory"] for one in found]
        for told, name in (
            (f"the {kind}, own pages", f"{kind}_uss"),
            (f"the {kind}, resident", f"{kind}_rss"),
            ("all processes, proportional", "tree_pss"),
            *((("the parent, own pages", "parent_uss"),) if workers == 2 else ()),
        ):
            few, five, fifty = (one[name] for one in held)
            rows.append(
                [
                    str(workers),
                    told,
                    *(f"{value / _MB:.0f}" for value in (few, five, fifty)),
                    f"{fifty / five - 1:+.0%}",
                    f"{(fifty - few) / _MB:.0f}",
                ]
            )
    if not rows:
        return ""
    many = f"{EPISODES * COPIES:,}"
    heads = ["workers", "peak MB of", "50", f"{EPISODES:,}", many, "growth"]
    return f"""## Memory of a build

Resident: the kernel's high-water mark. Own and proportional pages: sampled twenty times
a second. {many} episodes are the {EPISODES:,} ten times over, each copy with another
start and first action. Beyond imports: less a build of 50 episodes.

{_table([*heads, "beyond imports"], rows)}

A worker holds a fixed number of rows; the parent as many, some 20 bytes an episode (50
while it plans), and what grows until it is full: blocks of rows, lists of logs."""


def _derivation(results: Results) -> str:
    if not results.all("derive/tfds beam/all/"):
        return ""
    rows = []
    sizes = ("handful", "all")
    base = [results.beyond("derive/derive", sizes, f) for f in _TIMES]
    for way in ("derive", "thresher 1", "tfds beam"):
        wall, core = (results.beyond(f"derive/{way}", sizes, f) for f in _TIMES)
        startup = median(
            one["seconds"] for one in results.all(f"derive/{way}/handful/")
        )
        rows.append(
            [
                way,
                f"{wall:.2f} s",
                f"{wall / base[0]:.1f}",
                f"{core:.2f} s",
                f"{core / base[1]:.1f}",
                f"{startup:.1f} s",
            ]
        )
    heads = ["", "wall", "to derive", "processor time", "to derive", "start-up"]
    told = results.all("derive/derive/all/")[0]
    return f"""## A balanced version, {told["episodes"]:,} of {EPISODES:,} episodes

`thresher derive --ratio 0.5` of the sealed version, against building that version.

{_table(heads, rows)}

That is {told["episodes"] / base[0]:,.0f} episodes a second. Copying goes with bytes,
building with pictures: see the long episodes above.{_verified(results)}"""


_TIMES = ("seconds", "cpu_seconds")


def _verified(results: Results) -> str:
    if not results.all("verify/many/"):
        return ""
    sizes = ("handful", "many")
    length = results.beyond("verify", sizes, "bytes") / _MB
    wall, core = (results.beyond("verify", sizes, field) for field in _TIMES)
    return f"""

`thresher verify` of {length:,.0f} MB in the page cache: {length / wall:,.0f} MB/s, and
{length / core:,.0f} MB/s of processor time."""


def _queries(results: Results) -> str:
    found = results.all("query/")
    if not found:
        return ""
    rows = [
        [
            f"`{one['what'].split('/', 1)[1]}`",
            f"{one['rows']:,}",
            f"{one['in_memory']:.2f} s",
            f"{one['with_reading']:.2f} s",
        ]
        for one in found
    ]
    heads = ["condition", "episodes", "index in memory", "with reading its columns"]
    return f"""## Questions to an index of a million episodes

{_table(heads, rows)}"""


def _plans(results: Results) -> str:
    found = [results.one(f"plan/{rows}") for rows in PLANS]
    if not all(found):
        return ""
    rows = [
        [
            f"{one['steps']['rows']:,}",
            f"{one['steps']['planned']:,}",
            *(
                f"{one['steps'][s]['seconds']:.1f} s"
                for s in ("select", "plan", "write")
            ),
            f"{one['cpu_seconds']:.0f} s",
            f"{one['memory']['parent_rss'] / _GIB:.2f} GiB",
        ]
        for one in found
    ]
    heads = ["episodes", "planned", "select and rebalance", "plan", "write the plan"]
    return f"""## The plan of generated indexes

{_table([*heads, "processor time", "peak memory"], rows)}"""


def _growth(results: Results) -> str:
    found = [(number, results.one(f"growth/{number}")) for number in BUILDS]
    if not all(one for _, one in found):
        return ""
    cells: list[Callable[[dict[str, Any]], str]] = [
        lambda one: f"{one['seconds']:.1f} s",
        lambda one: f"{one['cpu_seconds']:.1f} s",
        lambda one: f"{one['memory']['parent_uss'] / _MB:.0f} MB",
    ]
    rows = []
    for number, one in found:
        each = one["cpu_seconds"] / number * 1e3
        told = [cell(one) for cell in cells]
        rows.append([f"{number:,}", *told[:2], f"{each:.2f} ms", told[2]])
    heads = [
        "episodes",
        "wall",
        "processor time",
        "an episode",
        "peak memory, own pages",
    ]
    return f"""## Growth

Builds of generated episodes of three steps with an 8×8 picture, one worker, start-up
included.

{_table(heads, rows)}"""
