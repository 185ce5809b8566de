"""A small bank of scenes, settled once for all tests of the world."""

from __future__ import annotations

import pytest

from thresher.envs.grasping.world import BinGrasping


@pytest.fixture(scope="session")
def scene_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def world(scene_cache, monkeypatch):
    monkeypatch.setenv("THRESHER_CACHE", str(scene_cache))
    made = BinGrasping(bank_size=100)
    made.prepare()
    yield made
    made.close()
