"""Worlds and policies by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thresher.envs.policy import Policy
from thresher.envs.world import World
from thresher.episodes.errors import UserError, unknown_name

if TYPE_CHECKING:
    from thresher.envs.grasping.geometry import GraspGeometry

POLICY_FILE = "policy.json"


def _bin_grasping(**options: Any) -> World:
    from thresher.envs.grasping.world import BinGrasping

    return BinGrasping(**options)


def _random(world: World) -> Policy:
    from thresher.envs.policies.random import RandomPolicy

    return RandomPolicy(world)


def _scripted(world: World) -> Policy:
    from thresher.envs.policies.scripted import ScriptedPolicy

    return ScriptedPolicy.preset()


def _oracle(world: World) -> Policy:
    from thresher.envs.policies.scripted import ScriptedPolicy

    return ScriptedPolicy.oracle()


_WORLDS: dict[str, Callable[..., World]] = {"bin_grasping": _bin_grasping}
_POLICIES: dict[str, Callable[[World], Policy]] = {
    "random": _random,
    "scripted": _scripted,
    "oracle": _oracle,
}


def world_names() -> list[str]:
    """Returns the names that `make_world` knows."""
    return sorted(_WORLDS)


def policy_names() -> list[str]:
    """Returns the names that `make_policy` knows."""
    return sorted(_POLICIES)


def make_world(name: str, **options: Any) -> World:
    """Makes a world.

    Raises:
      UserError: No world has that name, or it has no such option.
    """
    if name not in _WORLDS:
        raise unknown_name("world", name, _WORLDS)
    return _WORLDS[name](**options)


def world_geometry(name: str) -> GraspGeometry:
    """Returns a world's camera and workspace without preparing its scenes.

    Raises:
      UserError: No world has that name.
    """
    if name not in _WORLDS:
        raise unknown_name("world", name, _WORLDS)
    from thresher.envs.grasping.camera import grasp_geometry

    return grasp_geometry()


def make_policy(name: str, world: World) -> Policy:
    """Makes a policy by its name, or loads an exported one from its folder.

    Raises:
      UserError: No policy has that name and no folder of that name holds one.
    """
    require_policy(name)
    if name in _POLICIES:
        return _POLICIES[name](world)
    from thresher.envs.policies.saved import SavedPolicy

    return SavedPolicy(Path(name), world)


def require_policy(name: str) -> None:
    """Refuses a name before a world is made for it, which may take long.

    Raises:
      UserError: No policy has that name and no folder of that name holds one.
    """
    folder = Path(name)
    if name in _POLICIES or (folder / POLICY_FILE).exists():
        return
    if folder.is_dir():
        raise UserError(
            f"{folder} holds no exported policy (no {POLICY_FILE}); give the folder "
            "`policy` of a finished training run"
        )
    raise unknown_name("policy", name, _POLICIES)
