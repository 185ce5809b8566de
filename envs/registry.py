"""Worlds and policies by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

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
    return _scripted_with_skill(world, None)


def _scripted_with_skill(world: World, skill: Optional[str]) -> Policy:
    from thresher.envs.policies.scripted import ScriptedPolicy

    if skill is None:
        return ScriptedPolicy.preset()
    return ScriptedPolicy(_number(skill), policy_id=f"scripted:{skill}")


def _oracle(world: World) -> Policy:
    from thresher.envs.policies.scripted import ScriptedPolicy

    return ScriptedPolicy.oracle()


_WORLDS: dict[str, Callable[..., World]] = {"bin_grasping": _bin_grasping}
_POLICIES: dict[str, Callable[[World], Policy]] = {
    "random": _random,
    "scripted": _scripted,
    "oracle": _oracle,
}


# 'scripted:0.8' is the scripted policy of skill 0.8.
_SKILLED = "scripted:"


def world_names() -> list[str]:
    """Returns the names that `make_world` knows."""
    return sorted(_WORLDS)


def policy_names() -> list[str]:
    """Returns the names that `make_policy` knows."""
    return sorted(_POLICIES)


def make_world(name: str, **options: Any) -> World:
    """Makes a world.

    Args:
      name: One of `world_names`, or 'module:Class' for a world of your own.
      **options: The world's own.

    Raises:
      UserError: No world has that name, or it does not take such options.
    """
    maker = _WORLDS[name] if name in _WORLDS else _foreign_world(name)
    try:
        return maker(**options)
    except TypeError as error:
        raise UserError(f"world {name!r}: {error}") from error


def _foreign_world(name: str) -> Callable[..., World]:
    module, colon, attribute = name.partition(":")
    if not colon:
        raise unknown_name("world", name, _WORLDS)
    try:
        found: Callable[..., World] = getattr(
            importlib.import_module(module), attribute
        )
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"world {name!r} cannot be imported ({error}); give 'module:Class', with "
            "the module on PYTHONPATH"
        ) from error
    return found


def world_geometry(name: str) -> GraspGeometry:
    """Returns a world's camera and workspace without preparing its scenes.

    Raises:
      UserError: No world has that name.
    """
    if name not in _WORLDS:
        raise unknown_name("world", name, _WORLDS)
    from thresher.envs.grasping.camera import grasp_geometry

    return grasp_geometry()


def make_policy(
    name: str, world: World, noise: float = 0.0, noise_correlation: float = 0.0
) -> Policy:
    """Makes a policy by its name, or loads an exported one from its folder.

    Args:
      name: A name of `policy_names`, 'scripted:SKILL' with a skill from 0 to 1, or a
        folder.
      world: Where it will act.
      noise: Standard deviation of noise on every entry of its action.
      noise_correlation: Of that noise from step to step; 0 for white noise.

    Raises:
      UserError: No policy has that name and no folder of that name holds one.
    """
    require_policy(name)
    policy = _plain_policy(name, world)
    if noise == 0:
        return policy
    from thresher.envs.policies.exploring import ExploringPolicy

    return ExploringPolicy(policy, world, noise, noise_correlation)


def _plain_policy(name: str, world: World) -> Policy:
    if name in _POLICIES:
        return _POLICIES[name](world)
    if name.startswith(_SKILLED):
        return _scripted_with_skill(world, name[len(_SKILLED) :])
    from thresher.envs.policies.saved import SavedPolicy

    return SavedPolicy(Path(name), world)


def is_saved(name: str) -> bool:
    """Whether a name is an exported policy's folder."""
    return name not in _POLICIES and (Path(name) / POLICY_FILE).exists()


def require_policy(name: str) -> None:
    """Refuses a name before a world is made for it, which may take long.

    Raises:
      UserError: No policy has that name and no folder of that name holds one.
    """
    folder = Path(name)
    if name in _POLICIES or is_saved(name):
        return
    if name.startswith(_SKILLED):
        _number(name[len(_SKILLED) :])
        return
    if folder.is_dir():
        raise UserError(
            f"{folder} holds no exported policy (no {POLICY_FILE}); give the folder "
            "`policy` of a finished training run"
        )
    raise unknown_name("policy", name, _POLICIES)


def _number(skill: str) -> float:
    try:
        number = float(skill)
    except ValueError as error:
        raise UserError(
            f"policy 'scripted:{skill}': the skill is a number from 0 to 1, as in "
            "'scripted:0.8'"
        ) from error
    if not 0 <= number <= 1:
        raise UserError(f"policy 'scripted:{skill}': the skill is from 0 to 1")
    return number
