"""The list of objects that cannot be used is what the search finds."""

from __future__ import annotations

from thresher.envs.grasping.find_unusable import reason_against
from thresher.envs.grasping.objects import object_folder, unusable_objects


def test_listed_objects_are_found_and_their_neighbours_are_not():
    for number in (0, 7, 167, 168, 169):
        reason = reason_against(object_folder(number) / f"{number:03d}.obj")
        assert reason == unusable_objects().get(number)


def test_what_no_gripper_of_ours_can_take_is_said(tmp_path):
    corners = [(x, y, z) for x in (0, 8) for y in (0, 8) for z in (0, 8)]
    lines = ["o part", *("v {} {} {}".format(*corner) for corner in corners)]
    (tmp_path / "cube.obj").write_text("\n".join(lines))
    assert reason_against(tmp_path / "cube.obj").startswith("120 mm wide")
    (tmp_path / "empty.obj").write_text("o part\n")
    assert "four vertices" in reason_against(tmp_path / "empty.obj")
