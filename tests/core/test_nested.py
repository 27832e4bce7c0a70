"""Mounts that lie inside one another: outer ones come first and go last, all others go at once."""

from dataclasses import replace

import pytest

from hapair.core.words.effects import Act, Do, Layer
from hapair.core.words.events import Halt, Introduce
from hapair.core.words.item import Is, Item, ItemState
from hapair.model.nesting import enclosing, lies_inside
from hapair.model.outcome import Unknown
from hapair.model.status import Wanted
from tests.core.bench import NAME, Bench, built
from tests.sim.settings import application, place_of

# Of the four, 1 lies inside 0, 3 inside 1, and the name of 2 only begins as theirs do.
VOLUMES = tuple(f"{NAME}.data{index}" for index in range(4))
OUTER, INNER, BESIDE, INNERMOST = VOLUMES


def bench() -> Bench:
    return Bench(built(application(NAME, volumes=len(VOLUMES))))


def deeds(bench: Bench, *wanted: Do) -> list[str]:
    return [e.resource for e in bench.effects if isinstance(e, Act) and e.do in wanted]


def mounted(resource: str) -> Item:
    return Item(NAME, Layer.MOUNTED, resource)


def as_found(bench: Bench, **known: Is) -> None:
    """Let a daemon that was started anew have looked at its mounts."""
    items = dict(bench.state.items_of(NAME))
    for name, each in known.items():
        item = mounted(f"{NAME}.{name}")
        items[item] = ItemState(known=each)
        if each is not Is.UP:
            bench.up.discard(("mounted", NAME, item.resource))
    bench.state = replace(bench.state, items={NAME: items})
    bench.forget_effects()


def test_places_are_compared_by_the_parts_of_their_paths() -> None:
    assert lies_inside("/srv/x/wal", "/srv/x")
    assert lies_inside("/srv", "/")
    assert not lies_inside("/srv/x", "/srv/x")
    assert not lies_inside("/srv/x2", "/srv/x")
    assert enclosing("/srv/x/a b/c", ("/srv/x", "/srv/x/a", "/srv/x/a b", "/srv/x/a b/c")) == (
        "/srv/x/a b", "/srv/x",
    )  # fmt: skip


def test_the_configuration_knows_what_encloses_what() -> None:
    (entry,) = built(application(NAME, volumes=len(VOLUMES))).applications
    assert entry.enclosing == {INNER: (OUTER,), INNERMOST: (INNER, OUTER)}
    assert place_of(BESIDE).startswith(place_of(OUTER))


def test_a_mount_waits_for_what_encloses_it_and_the_program_for_all() -> None:
    stage = bench()
    stage.deaf = {Do.MOUNT}
    stage.together()
    stage.command(Introduce(NAME, Wanted.UP))
    assert deeds(stage, Do.MOUNT) == [OUTER, BESIDE]
    assert not deeds(stage, Do.START_PROGRAM)


def test_all_come_up_outer_ones_first_and_go_down_inner_ones_first() -> None:
    stage = bench()
    stage.running()
    assert deeds(stage, Do.MOUNT) == [OUTER, BESIDE, INNER, INNERMOST]
    stage.forget_effects()
    stage.command(Halt(NAME))
    assert deeds(stage, Do.UNMOUNT) == [BESIDE, INNERMOST, INNER, OUTER]
    assert not deeds(stage, Do.END_HOLDERS)


def test_what_holds_an_inner_one_leaves_the_outer_one_alone() -> None:
    stage = bench()
    stage.running()
    stage.forget_effects()
    stage.deaf = {Do.END_HOLDERS}
    stage.outcomes[Do.UNMOUNT] = Unknown("it is held")
    stage.command(Halt(NAME))
    assert set(deeds(stage, Do.UNMOUNT, Do.END_HOLDERS)) == {BESIDE, INNERMOST}


@pytest.mark.parametrize("outer", [OUTER, INNER])
def test_what_was_mounted_before_what_encloses_it_is_unmounted_first(outer: str) -> None:
    """Else the outer one would hide it, and the program would write into its folder."""
    stage = bench()
    stage.running()
    as_found(stage, **{outer.partition(".")[2]: Is.DOWN})
    stage.wait(1.0)
    done = [(e.do, e.resource) for e in stage.effects if isinstance(e, Act)]
    mounts = done.index((Do.MOUNT, outer))
    assert done.index((Do.UNMOUNT, INNERMOST)) < mounts < done.index((Do.MOUNT, INNERMOST))
    assert done.index((Do.STOP_PROGRAM, "")) < mounts < done.index((Do.START_PROGRAM, ""))


def test_one_that_is_hidden_is_mounted_again_and_nothing_is_stopped() -> None:
    stage = bench()
    stage.running()
    as_found(stage, data1=Is.PART)
    stage.wait(1.0)
    assert stage.acts() == [Do.MOUNT]
    assert deeds(stage, Do.MOUNT) == [INNER]


def test_one_that_is_hidden_does_not_keep_what_hides_it_from_going() -> None:
    stage = bench()
    stage.running()
    as_found(stage, data1=Is.PART, data3=Is.DOWN)
    stage.deaf = {Do.UNMOUNT}
    stage.command(Halt(NAME))
    assert deeds(stage, Do.UNMOUNT) == [OUTER, INNER, BESIDE]


def test_a_look_that_failed_stops_nothing() -> None:
    """Nobody knows then whether the outer one is there, and what runs goes on."""
    stage = bench()
    stage.running()
    as_found(stage, data0=Is.PART)
    stage.wait(1.0)
    assert set(stage.acts()) == {Do.MOUNT}
