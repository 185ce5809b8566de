"""What a log said before an episode began, and for what that counts in it.

A camera or a command holds until the next message, and a task may be told before its
episode. But how an episode went is never told before it: that was about the last one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from thresher.pipelines.ingest.mapping import LogMapping
from thresher.pipelines.ingest.recording import Stream
from thresher.pipelines.ingest.tidy import taken


def said_of(
    mapping: LogMapping,
    streams: Mapping[str, Stream],
    kept: Mapping[str, np.ndarray],
    carried: Collection[str],
) -> tuple[dict[str, Stream], dict[str, np.ndarray]]:
    """Returns what counts for an episode's labels, and where that is in its streams.

    Args:
      mapping: Says which fields are about how an episode went.
      streams: By field, in the order of time.
      kept: By field, where each value was in the segment.
      carried: Fields whose first value in the segment is from before the episode.

    Returns:
      The streams, without what was carried over: of success, ending and reward never,
      of what else is told (language, task, …) where the episode tells it itself.
    """
    verdicts = {mapping.ending.field, mapping.reward.field}
    verdicts |= {mapping.success.field} if mapping.success else set()
    said = dict(streams)
    places = {name: np.arange(len(s.times_ns)) for name, s in streams.items()}
    for name in carried:
        own = np.flatnonzero(kept[name] != 0)
        if len(own) or name in verdicts:
            said[name], places[name] = taken(streams[name], own), own
    return said, places
