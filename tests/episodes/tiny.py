"""Small real episodes for tests of every layer."""

from __future__ import annotations

import numpy as np

from thresher.episodes.episode import Episode
from thresher.episodes.metadata import (
    Behaviour,
    BehaviourKind,
    EpisodeMetadata,
    Outcome,
    Success,
)
from thresher.episodes.recorder import StepRecorder
from thresher.episodes.spec import EpisodeSpec, FeatureSpec

TINY_SPEC = EpisodeSpec(
    name="tiny",
    features=(
        FeatureSpec("observation/image", (8, 6, 3), "uint8", "Camera.", encoding="png"),
        FeatureSpec(
            "observation/height",
            (1,),
            "float32",
            "Gripper height.",
            unit="m",
            minimum=0.0,
            maximum=1.0,
        ),
        FeatureSpec(
            "action",
            (2,),
            "float32",
            "Motion, then closing.",
            minimum=-1.0,
            maximum=1.0,
            labels=("dx", "close"),
        ),
    ),
    step_seconds=0.1,
)


def tiny_metadata(
    *, success: Success, episode_return: float, number: int = 0, scene: str = "scene 0"
) -> EpisodeMetadata:
    """Metadata of a scripted try at picking."""
    return EpisodeMetadata(
        source_id=f"tiny/{number:06d}",
        task="pick",
        robot="gantry",
        scene_id=scene,
        object_ids=(f"object {number % 7}",),
        language="pick something up",
        start_time_ns=number * 10**9,
        environment={"friction": 0.8},
        outcome=Outcome(success, episode_return, "simulator"),
        behaviour=Behaviour(BehaviourKind.SCRIPTED, "scripted", "1", {"aim": 0.02}),
    )


def tiny_episode(
    number: int = 0,
    *,
    transitions: int = 3,
    success: bool = True,
    terminal: bool = True,
    scene: str = "scene 0",
) -> Episode:
    """An episode whose content depends on its number alone; reward 1 at success."""
    rng = np.random.default_rng([number, transitions, success, terminal])
    recorder = StepRecorder(TINY_SPEC)
    recorder.first(_observation(rng))
    for step in range(transitions):
        last = step == transitions - 1
        recorder.step(
            rng.uniform(-1, 1, 2).astype(np.float32),
            float(success and last),
            _observation(rng),
            terminated=last and terminal,
            truncated=last and not terminal,
        )
    outcome = Success.YES if success else Success.NO
    return recorder.finish(
        tiny_metadata(
            success=outcome, episode_return=float(success), number=number, scene=scene
        )
    )


def _observation(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "image": rng.integers(0, 256, (8, 6, 3), dtype=np.uint8),
        "height": rng.uniform(0, 1, 1).astype(np.float32),
    }
