"""A new configuration is known a moment before the kernel has told of what is new."""

from dataclasses import replace

from hapair.core import node
from hapair.core.words.effects import Do
from hapair.core.words.events import Configured
from hapair.core.words.stored import Stored
from hapair.model import timing
from tests.core.bench import ME, RESOURCE, Bench, built

ADDED = "orders.more"


def grown() -> Configured:
    """Return orders with one more volume."""
    (entry,) = built(generation=2).applications
    (volume,) = entry.volumes
    more = replace(volume, resource=ADDED, logical_volume="more", mount_point="/srv/more")
    entry = replace(entry, volumes=(volume, more))
    return Configured(100.0, replace(built(generation=2), applications=(entry,)))


def running() -> Bench:
    bench = Bench()
    bench.running()
    bench.up.add(("mounted", "orders", ADDED))
    bench.forget_effects()
    bench.do(replace(grown(), at_s=bench.now_s))
    return bench


def test_a_new_volume_of_which_the_kernel_has_not_told_yet_stops_nothing() -> None:
    bench = running()
    bench.wait(timing.UNTOLD_S - 1.0)
    assert bench.acts() == []
    bench.data(replace(bench.kernel[RESOURCE], resource=ADDED))
    bench.wait(2.0)
    assert bench.acts() == []


def test_what_the_kernel_does_not_tell_of_in_time_is_not_there() -> None:
    bench = running()
    bench.wait(timing.UNTOLD_S + 1.0)
    assert Do.STOP_PROGRAM in bench.acts(), "its data is not complete here"


def test_before_the_kernel_has_spoken_nothing_more_is_waited_for() -> None:
    state, _ = node.begin(ME, "boot1", 1, built(), Stored(), 100.0)
    state, _ = node.step(state, grown())
    assert state.untold_until_s == 0.0
