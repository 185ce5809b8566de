"""The program that acts episodes out: one world, fed with jobs, replaceable.

It reads jobs (lines of JSON) from its standard input and writes what it has done to a
pipe of its own, because simulators print where they like. When its parent is gone the
pipe breaks, and it ends.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from thresher.envs.world import WorldFault
from thresher.episodes.errors import UserError
from thresher.episodes.raw_log import RawLogWriter

Say = Callable[[Mapping[str, Any]], None]


def run_job(job: Mapping[str, Any], say: Say) -> None:
    """Writes one raw log, saying before each episode which one begins.

    Args:
      job: 'log' (path), 'first' and 'size' (numbers of its episodes), 'attempts'
        (drawing by number where it is not the first), and 'actors': 'policy',
        'world', 'world_options', 'seed', 'noise', 'noise_correlation'.
      say: Takes {'episode': number}, and at the end {'outcomes': counts by label,
        'other_labels': the same by labeller}.
    """
    from thresher.envs.rollout import rollout

    actors = job["actors"]
    world, policy = _actors(json.dumps(actors, sort_keys=True))
    log_path = Path(job["log"])
    scratch = log_path.with_name(f".{log_path.name}.{os.getpid()}.part")
    scratch.unlink(missing_ok=True)
    outcomes: Counter[str] = Counter()
    others: dict[str, Counter[str]] = {}
    try:
        with RawLogWriter(scratch, world.episode_spec) as log:
            for number in range(job["first"], job["first"] + job["size"]):
                say({"episode": number})
                attempt = job["attempts"].get(str(number), 0)
                episode = rollout(world, policy, actors["seed"], number, attempt)
                log.write(episode)
                outcomes[episode.metadata.outcome.success.value] += 1
                for source, label in episode.metadata.other_labels.items():
                    others.setdefault(source, Counter())[label.value] += 1
        scratch.replace(log_path)
    finally:
        scratch.unlink(missing_ok=True)
    say({"outcomes": outcomes, "other_labels": others})


@functools.lru_cache(maxsize=1)
def _actors(frozen: str) -> tuple[Any, Any]:
    """World and policy, kept from job to job: making them takes long."""
    from thresher.envs.registry import make_policy, make_world

    actors = json.loads(frozen)
    world = make_world(actors["world"], **actors["world_options"])
    policy = make_policy(
        actors["policy"], world, actors["noise"], actors["noise_correlation"]
    )
    return world, policy


def main(pipe: int) -> None:
    """Does jobs until there are no more, or one fails.

    What is the user's to mend is said and waited out; a world's fault is said and ends
    the process, because a world that went wrong once is not to be trusted; whatever
    else happens ends it with a traceback.
    """
    with os.fdopen(pipe, "w", buffering=1) as out:

        def say(message: Mapping[str, Any]) -> None:
            out.write(json.dumps(message) + "\n")

        for line in sys.stdin:
            try:
                run_job(json.loads(line), say)
            except UserError as error:
                say({"refused": str(error)})
            except WorldFault as fault:
                say({"invalid": str(fault)})
                sys.exit(1)
            except OSError as error:
                say(
                    {
                        "refused": f"a raw log could not be written ({error}); mend "
                        "that, and the same command goes on from what there is"
                    }
                )


if __name__ == "__main__":
    main(int(sys.argv[1]))
