"""The way to a mount point is the same on both nodes, or the plan warns of the difference."""

from dataclasses import replace
from pathlib import Path

import pytest

from hapair.core.plan.application import Plan, make_plan
from hapair.model.storage import Folder
from hapair.runtime.verbs import Call
from tests.jobs.material import WAY, mounted, situation
from tests.jobs.troubles import tools
from tests.jobs.world import World

__all__ = ["tools"]

DEEP = (
    Folder("/data", 0o755, "root", "root"),
    Folder("/data/pg", 0o750, "postgres", "postgres", (("security.selinux", "00"),)),
    Folder("/data/pg/main", 0o700, "postgres", "postgres"),
)


def warned(*there: Folder) -> tuple[str, ...]:
    s = situation(here=mounted(mount_point="/data/pg/main", folders=DEEP))
    plan = make_plan(replace(s, peer=replace(s.peer, folders=there)))
    assert isinstance(plan, Plan)
    return tuple(str(each) for each in plan.warnings)


async def test_what_is_missing_on_the_peer_is_made_like_here(tmp_path: Path) -> None:
    world = World(tmp_path)
    answer = await world.builders["node1"].buildapp(Call({"application": "orders"}))
    assert world.hosts["node2"].made_like == WAY
    assert answer["warnings"] == []


async def test_what_differs_on_the_peer_is_a_warning_of_the_plan(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.hosts["node2"].ways = (replace(WAY[0], mode=0o700),)
    answer = await world.builders["node1"].buildapp(Call({"application": "orders", "plan": True}))
    warning = str(answer["warnings"])
    assert "/srv is root:root 0700, and root:root 0755 on node1" in warning
    assert "chmod 0755 /srv" in warning


@pytest.mark.parametrize(
    "there",
    [
        (),
        DEEP,
        (replace(DEEP[0], mode=0o777),),
        (replace(DEEP[1], owner="root", mode=0o755),),
        (replace(DEEP[2], owner="root", mode=0o000),),
        (Folder("/other", 0o000, "root", "root"),),
    ],
)
def test_who_may_pass_here_may_pass_there(there: tuple[Folder, ...]) -> None:
    assert warned(*there) == ()


@pytest.mark.parametrize(
    "there",
    [
        replace(DEEP[0], mode=0o700),
        replace(DEEP[1], mode=0o700),
        replace(DEEP[1], owner="root"),
        replace(DEEP[1], group="root"),
    ],
)
def test_whoever_would_be_locked_out_is_warned_of(there: Folder) -> None:
    (warning,) = warned(there)
    assert f"{there.path} is {there.owner}:{there.group} {there.mode:04o}" in warning
    model = next(each for each in DEEP if each.path == there.path)
    assert f"chmod {model.mode:04o} {model.path}" in warning
    foreign = (there.owner, there.group) != (model.owner, model.group)
    assert (f"chown {model.owner}:{model.group}" in warning) is foreign


def test_what_lies_in_the_folder_on_the_peer_is_told_before_a_mount_hides_it() -> None:
    (warning,) = warned(*DEEP[:2], replace(DEEP[2], filled=True))
    assert "node2: warning: mount point: /data/pg/main is not empty" in warning


def test_a_name_that_is_a_link_only_here_is_told() -> None:
    plan = make_plan(situation(here=mounted(called=("/srv/link",))))
    assert isinstance(plan, Plan)
    (warning,) = plan.warnings
    assert "/srv/link of node1's /etc/fstab is /srv/orders, by a symbolic link" in warning.what
    assert "make the same link on node2" in warning.mend
