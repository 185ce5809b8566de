"""Importing this registers the worlds with Gymnasium; none of them is imported.

`gymnasium.make("thresher.envs.gymnasium_ids:thresher/BinGrasping-v0")` imports it by
itself; after an import of your own `gymnasium.make("thresher/BinGrasping-v0")` does.
"""

from __future__ import annotations

import gymnasium

gymnasium.register(
    id="thresher/BinGrasping-v0",
    entry_point="thresher.envs.grasping.world:BinGrasping",
)
