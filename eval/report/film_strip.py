"""Film strips: an episode's camera frames side by side, to be looked at."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable

from thresher.episodes.episode import Episode
from thresher.episodes.errors import UserError
from thresher.episodes.images import EncodedImages
from thresher.episodes.metadata import Success

_MIME = {"png": "image/png", "jpeg": "image/jpeg"}


@dataclasses.dataclass(frozen=True)
class FilmStrip:
    """One episode as pictures.

    Attributes:
      title: Which episode, and how it ended.
      success: Whether it succeeded.
      frames: Data URIs of its frames, first to last.
      captions: One a frame: what was done next.
    """

    title: str
    success: bool
    frames: tuple[str, ...]
    captions: tuple[str, ...]


def choose(episodes: Iterable[Episode], each: int) -> list[FilmStrip]:
    """Returns strips of the first `each` successes and the first `each` failures.

    The first ones, not the best ones: nobody picks what is shown.
    """
    strips: list[FilmStrip] = []
    wanted = {Success.YES: each, Success.NO: each}
    for episode in episodes:
        success = episode.metadata.outcome.success
        if wanted.get(success, 0) > 0:
            wanted[success] -= 1
            strips.append(film_strip(episode))
        if not any(wanted.values()):
            break
    return sorted(strips, key=lambda strip: not strip.success)


def film_strip(episode: Episode) -> FilmStrip:
    """Returns the strip of an episode's first camera.

    Raises:
      UserError: The episode holds no images.
    """
    images = _camera(episode)
    mime = _MIME[images.encoding]
    frames = tuple(
        f"data:{mime};base64,{base64.b64encode(frame).decode()}"
        for frame in images.frames
    )
    terminal = bool(episode.array("is_terminal")[-1])
    success = episode.metadata.outcome.success
    ending = {Success.YES: "success", Success.NO: "failure"}.get(success, "unlabelled")
    if not terminal:
        ending += ", time-out"
    return FilmStrip(
        title=f"{episode.metadata.source_id}: {ending}",
        success=success is Success.YES,
        frames=frames,
        captions=tuple(_captions(episode)),
    )


def _camera(episode: Episode) -> EncodedImages:
    for name in sorted(episode.steps):
        column = episode.steps[name]
        if isinstance(column, EncodedImages):
            return column
    raise UserError(
        f"episode {episode.metadata.source_id} holds no images, so there is no film "
        "strip of it; leave it out of the report"
    )


def _captions(episode: Episode) -> Iterable[str]:
    for step in range(episode.num_transitions):
        reward = float(episode.array("reward")[step])
        yield f"step {step}" + (f", reward {reward:g}" if reward else "")
    yield "end"
