"""A generated index of any size, and the plan that is made of it.

    python -m thresher.benchmarks.plane_index index.parquet 10000000

The rows are as long and as many-valued as those of real logs of grasping: ids and
digests are random, files hold 50 episodes, scenes 2 to 3, a quarter are successes. The
command makes the plan of such an index and prints what each step took: in a process of
its own, so that its memory is that of planning.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from thresher.episodes.index import streamed_index
from thresher.pipelines.plan import Plan, make_plan
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.select import Selection, select
from thresher.pipelines.sources import MERGED_SCHEMA, Source
from thresher.pipelines.write_plan import write_plan

_BATCH_ROWS = 131_072
_EPISODES_A_LOG = 50
_EPISODES_A_SCENE = 2.5
_OBJECTS = 900
_SUCCESS_SHARE = 0.25
_POLICIES = ("scripted", "qt_opt", "qt_opt_tuned")
_T = TypeVar("_T")


def write_generated_index(path: Path, rows: int, seed: int = 0) -> None:
    """Writes a numbered index of random episodes, as `merge_indexes` would."""
    rng = np.random.default_rng(seed)
    with streamed_index(path, MERGED_SCHEMA) as writer:
        for first in range(0, rows, _BATCH_ROWS):
            numbers = np.arange(first, min(rows, first + _BATCH_ROWS))
            columns = _columns(numbers, rows, rng)
            count = len(numbers)
            arrays = [
                columns[field.name].cast(field.type)
                if field.name in columns
                else pa.nulls(count, field.type)
                for field in MERGED_SCHEMA
            ]
            writer.write(pa.table(arrays, schema=MERGED_SCHEMA))


def _columns(
    numbers: np.ndarray, rows: int, rng: np.random.Generator
) -> dict[str, pa.Array]:
    count = len(numbers)
    logs = numbers // _EPISODES_A_LOG
    lengths = rng.integers(9_000, 16_000, count)
    success = rng.random(count) < _SUCCESS_SHARE
    scenes = rng.integers(0, max(1, int(rows / _EPISODES_A_SCENE)), count)
    policies = rng.choice(_POLICIES, count)
    return {
        **_constants(count),
        "row": pa.array(numbers),
        "episode_id": _hexadecimal(rng, count, 16),
        "near_digest": _hexadecimal(rng, count, 16),
        "log_digest": _log_digests(logs),
        "source_id": _texts("seed{}/{:08d}", logs % 97, numbers),
        "file": _texts("robot{}/{:08d}.mcap", logs % 97, logs * _EPISODES_A_LOG),
        "offset": pa.array((numbers % _EPISODES_A_LOG) * 12_000 + 2_421),
        "length_bytes": pa.array(lengths),
        "num_steps": pa.array(rng.integers(3, 21, count)),
        "episode_return": pa.array(success.astype(np.float64)),
        "success": pa.array(np.where(success, "yes", "no")),
        "scene_id": _texts("train/5/{:08d}", scenes),
        "object_ids": _object_ids(rng, count),
        "policy_id": pa.array(policies),
        "start_time_ns": pa.array(numbers * 60_000_000_000),
        "environment": _texts(
            '{{"object_set": "train", "quarter_turns": {}.0, "revision": 2.0}}',
            rng.integers(0, 4, count),
        ),
        "darkest_frame": pa.array(rng.uniform(140, 170, count)),
        "brightest_frame": pa.array(rng.uniform(170, 190, count)),
        "frozen_frames": pa.array(rng.integers(1, 3, count)),
        "saturated_share": pa.array(rng.uniform(0, 0.7, count)),
    }


def _constants(count: int) -> dict[str, pa.Array]:
    texts = {
        "label_source": "simulator",
        "other_labels": "{}",
        "task": "grasp any object",
        "robot": "gantry gripper (PyBullet)",
        "language": "",
        "behaviour_kind": "scripted",
        "policy_version": "1",
    }
    empty = pa.array([[]] * count, pa.list_(pa.string()))
    return {
        **{name: pa.array([text]).take(_zeros(count)) for name, text in texts.items()},
        "violations": empty,
        "stuck_joints": empty,
        "confidence": pa.array(np.ones(count)),
        "source": pa.array(np.zeros(count, np.int32)),
    }


def _zeros(count: int) -> pa.Array:
    return pa.array(np.zeros(count, np.int32))


def _hexadecimal(rng: np.random.Generator, count: int, octets: int) -> pa.Array:
    """Returns random digests as text, without an object for each."""
    text = rng.bytes(count * octets).hex().encode()
    offsets = np.arange(count + 1, dtype=np.int32) * octets * 2
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text))


def _log_digests(logs: np.ndarray) -> pa.Array:
    known, places = np.unique(logs, return_inverse=True)
    digests = [np.random.default_rng(int(log)).bytes(32).hex() for log in known]
    return pa.array(digests).take(pa.array(places))


def _texts(form: str, *columns: np.ndarray) -> pa.Array:
    return pa.array(list(map(form.format, *(column.tolist() for column in columns))))


def _object_ids(rng: np.random.Generator, count: int) -> pa.Array:
    names = pa.array([f"random_urdfs/{number:03d}" for number in range(_OBJECTS)])
    drawn = names.take(pa.array(rng.integers(0, _OBJECTS, count * 5)))
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * 5)
    return pa.ListArray.from_arrays(offsets, drawn)


def plan_index(index: Path, plan: Path) -> dict[str, Any]:
    """Makes and writes the plan of an index; returns seconds and memory by step."""
    recipe = Recipe(name="generated", version="1.0.0", description="Generated.")
    steps: dict[str, Any] = {}
    sources = (Source("generated", index.parent),)
    selection = _timed(steps, "select", partial(select, index, recipe, sources))
    made = _timed(steps, "plan", partial(_plan, selection, recipe))
    bench = selection.bench
    _timed(
        steps,
        "write",
        partial(write_plan, made, index, bench.weight, bench.flags, plan),
    )
    return {"rows": len(bench.stage), "planned": len(made.rows), **steps}


def _plan(selection: Selection, recipe: Recipe) -> Plan:
    bench = selection.bench
    rows = bench.kept
    return make_plan(
        rows,
        bench.ids[rows],
        bench.split[rows],
        bench.size[rows],
        bench.copies[rows],
        bench.split_names,
        recipe.plan,
    )


def _timed(steps: dict[str, Any], name: str, work: Callable[[], _T]) -> _T:
    began = time.perf_counter()
    done = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    steps[name] = {"seconds": time.perf_counter() - began, "peak_bytes": peak}
    return done


def main(words: Sequence[str] | None = None) -> None:
    """Makes an index, if it is not there, or the plan of one that is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("rows", type=int)
    arguments = parser.parse_args(words)
    index: Path = arguments.index
    if not index.exists():
        write_generated_index(index, arguments.rows)
        return
    plan = index.with_suffix(".plan.parquet")
    print(json.dumps(plan_index(index, plan)))
    plan.unlink()


if __name__ == "__main__":
    main()
