"""The event stream is followed, doubted and started again."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Final

import pytest

from hapair.adapters.drbd.events import CROSS_CHECK_S, DUMP_S, Events
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from tests.runtime.virtual_time import virtually

UP = (
    "exists resource name:r0 role:Secondary suspended:no",
    "exists device name:r0 volume:0 minor:0 disk:UpToDate",
    "exists connection name:r0 peer-node-id:0 conn-name:peer connection:Connected role:Secondary",
    "exists peer-device name:r0 volume:0 replication:Established peer-disk:UpToDate",
)
PROC = "version: 8.4.11 (api:1)\n 0: cs:Connected ro:{}/Secondary ds:UpToDate/UpToDate C r-----\n"
Batches = list[tuple[str, ...]]
# It lives and tells nothing; meanwhile a disk dies.
HANGS: Batches = [()] * 1000  # To whoever waits for its end that is for ever.


class Kernel:
    """Each run of the program prints the next list of batches and ends."""

    def __init__(
        self,
        *runs: Batches,
        proc: str = "",
        loaded: bool = True,
        addresses: Sequence[Mapping[str, str]] = (),
    ) -> None:
        self.runs = list(runs)
        self.proc = proc
        self.loaded = loaded
        self.addresses = list(addresses)  # Each look finds the next of them, then none.
        self.idle_s: list[float] = []

    def events(self, dump_s: float = DUMP_S) -> Events:
        return Events(
            follow=self._follow,
            argv=lambda: ("drbdsetup", "events2"),
            proc_text=lambda: self.proc,
            loaded=lambda: self.loaded,
            addresses=self._addresses,
            dump_s=dump_s,
        )

    async def _addresses(self) -> Mapping[str, str]:
        return self.addresses.pop(0) if self.addresses else {}

    async def _follow(
        self, argv: tuple[str, ...], idle_s: Callable[[], float]
    ) -> AsyncGenerator[tuple[str, ...]]:
        assert argv == ("drbdsetup", "events2")
        run = self.runs.pop(0) if self.runs else []
        if run is HANGS:
            self.proc = PROC.format("Secondary").replace("ds:UpToDate/", "ds:Diskless/")
        for batch in run:
            self.idle_s.append(idle_s())
            await asyncio.sleep(0)
            yield batch


async def first(events: Events, count: int) -> list[tuple[VolumeFacts, ...]]:
    found: list[tuple[VolumeFacts, ...]] = []
    async for facts in events.watch():
        found.append(facts)
        if len(found) == count:
            break
    return found


async def test_nothing_is_told_before_the_first_dump_is_complete() -> None:
    kernel = Kernel([UP[:2], (), UP[2:], (), ("exists -",), ()])
    events = kernel.events()
    ((facts,),) = await first(events, 1)
    assert facts.kernel_answers
    assert events.facts("r0") == facts
    assert events.facts("unknown") is None


async def test_lines_of_one_change_are_told_as_one() -> None:
    lost = ("change connection name:r0 connection:Connecting role:Unknown",)
    off = ("change peer-device name:r0 volume:0 replication:Off peer-disk:DUnknown",)
    kernel = Kernel([(*UP, "exists -"), (), lost, off, (), ()])
    told = await first(kernel.events(), 2)
    assert told[0][0].kernel_answers
    assert told[1][0].peer_disk.value == "DUnknown"


async def test_what_did_not_change_is_not_told_again() -> None:
    same = ("change device name:r0 volume:0 minor:0 read:512 written:0",)
    changed = ("change resource name:r0 role:Primary",)
    kernel = Kernel([(*UP, "exists -"), (), same, (), (), changed, ()])
    told = await first(kernel.events(), 2)
    assert told[1][0].role is Role.PRIMARY


async def test_a_program_that_died_is_started_again_and_the_facts_stay_meanwhile() -> None:
    kernel = Kernel([(*UP, "exists -"), ()], [], [("exists -",), ()])
    events = kernel.events()
    told = await first(events, 2)
    assert [len(facts) for facts in told] == [1, 0]


async def test_lost_events_start_it_again() -> None:
    kernel = Kernel(
        [(*UP, "exists -"), (), ("- skipped 2",), ("change resource name:r0 role:Primary",), ()],
        [("exists -",), ()],
    )
    told = await first(kernel.events(), 2)
    assert told[1] == ()


async def test_a_stream_that_contradicts_the_kernel_twice_is_started_again() -> None:
    kernel = Kernel([(*UP, "exists -"), (), (), ()], [("exists -",), ()])
    kernel.proc = PROC.format("Primary")
    told = await first(kernel.events(), 3)
    assert told[0][0].role is Role.SECONDARY
    assert told[1][0].role is Role.PRIMARY, "until it is started again the kernel is read itself"
    assert told[2] == ()


def without_stream(proc: str) -> Kernel:
    """Return a kernel whose stream ends after its first words, and cannot be started again."""
    kernel = Kernel([(*UP, "exists -"), ()])
    kernel.proc = proc
    return kernel


async def test_while_no_stream_can_be_started_the_kernel_is_read_itself() -> None:
    """A disk that dies meanwhile: the last word of the stream would call the copy good."""
    kernel = without_stream(PROC.format("Secondary"))
    events = kernel.events()
    told = []
    async for facts in events.watch():
        told.append(facts)
        if len(told) == 1:
            kernel.proc = PROC.format("Secondary").replace("ds:UpToDate/", "ds:Diskless/")
        elif len(told) == 2:
            assert events.facts("r0") == facts[0]
            kernel.proc = "version: 8.4.11 (api:1)\n"  # It was taken down.
        else:
            break
    assert told[0][0].disk is Disk.UP_TO_DATE
    assert told[1][0].disk is Disk.DISKLESS
    assert told[1][0].kernel_answers
    assert told[2] == ()


async def test_what_is_brought_up_meanwhile_is_known_by_its_minor() -> None:
    """Somebody else's is not: /proc/drbd has no names."""
    kernel = Kernel([("exists -",), ()])
    events = kernel.events()
    told = []
    async for facts in events.watch():
        told.append(facts)
        if len(told) == 1:
            events.names[1] = "new"
            kernel.proc = PROC.format("Secondary") + PROC.format("Primary").replace(" 0:", " 1:")
        else:
            break
    assert told[0] == ()
    assert [(each.resource, each.role) for each in told[1]] == [("new", Role.PRIMARY)]
    events.confirm("new", None)
    assert not events.names


async def test_while_a_stream_hangs_that_was_begun_again_the_kernel_is_read_itself() -> None:
    """FAIL: the last word of the former stream counts as long as this one lives."""
    kernel = Kernel([(*UP, "exists -"), ()], HANGS)
    told = await first(kernel.events(), 2)
    assert [facts[0].disk for facts in told] == [Disk.UP_TO_DATE, Disk.DISKLESS]
    assert kernel.idle_s[-1] == 1.0
    assert len(kernel.idle_s) < len(HANGS)


async def test_a_stream_that_hangs_before_it_told_everything_is_begun_again() -> None:
    kernel = Kernel([(*UP, "exists -"), ()], HANGS, [("exists -",), ()])
    told = await first(kernel.events(dump_s=0.0), 3)
    assert [len(facts) for facts in told] == [1, 1, 0]
    assert len(kernel.idle_s) < len(HANGS)


async def test_before_a_stream_told_everything_the_kernels_list_without_names_tells_nothing() -> (
    None
):
    """What is brought up is not all that there is."""
    kernel = Kernel([(), ()], [(*UP, "exists -"), ()], proc=PROC.format("Secondary"))
    events = kernel.events()
    events.names[0] = "other"
    ((facts,),) = await first(events, 1)
    assert facts.resource == "r0"


async def test_the_device_of_what_was_told_and_is_gone_may_be_anothers() -> None:
    kernel = Kernel([(*UP, "exists -"), ()])
    events = kernel.events()
    events.names[0] = "r0"
    told = []
    async for facts in events.watch():
        told.append(facts)
        if len(told) == 1:
            kernel.proc = "version: 8.4.11 (api:1)\n"  # Somebody took it down, ...
        elif len(told) == 2:
            kernel.proc = PROC.format("Secondary")  # ... and has the device for something else.
            events.names[1] = "new"
            kernel.proc += PROC.format("Secondary").replace(" 0:", " 1:")
        else:
            break
    assert [[each.resource for each in facts] for facts in told] == [["r0"], [], ["new"]]


@pytest.mark.parametrize(
    ("said", "connection", "suspended"),
    [
        ("cs:SyncTarget ro:Secondary/Primary ds:Inconsistent/UpToDate C r-----", "target", False),
        ("cs:WFConnection ro:Primary/Unknown ds:UpToDate/DUnknown C s-----", "none", True),
        ("cs:StandAlone ro:Primary/Unknown ds:UpToDate/DUnknown   r-----", "alone", False),
    ],
)
async def test_everything_is_read_there(said: str, connection: str, *, suspended: bool) -> None:
    kernel = without_stream(f"version: 8.4.11 (api:1)\n 0: {said}\n    ns:0 oos:8\n")
    told = await first(kernel.events(), 2)
    (facts,) = told[1]
    assert (
        facts.connection
        is {
            "target": Connection.SYNC_TARGET,
            "none": Connection.CONNECTING,
            "alone": Connection.STAND_ALONE,
        }[connection]
    )
    assert facts.suspended is suspended
    assert facts.out_of_sync_bytes == 8192


async def test_a_connection_that_is_made_without_a_stream_proves_nothing_before_it_is_asked() -> (
    None
):
    kernel = Kernel([(*UP, "exists -"), ()], addresses=({"r0": "10.0.0.2"},))
    kernel.proc = PROC.format("Secondary").replace("cs:Connected", "cs:WFConnection")
    events = kernel.events()
    events.peer = "10.0.0.2"
    told = []
    async for facts in events.watch():
        told.append(facts)
        if len(told) == 1:
            assert facts[0].kernel_answers
        elif len(told) == 2:
            assert not facts[0].kernel_answers
            kernel.proc = PROC.format("Primary")
        else:
            assert facts[0].role is Role.PRIMARY
            assert not facts[0].kernel_answers
            break


@pytest.mark.parametrize(
    "proc", ["", "version: 9.1.7 (api:2)\n", "version: 8.4.11\n 0: cs:Connected?\n"]
)
async def test_where_the_kernel_tells_of_no_devices_the_last_facts_stay(proc: str) -> None:
    kernel = Kernel([(*UP, "exists -"), ()], [], [("exists -",), ()], proc=proc)
    told = await first(kernel.events(), 2)
    assert [len(facts) for facts in told] == [1, 0]


async def test_a_stream_that_agrees_with_the_kernel_goes_on() -> None:
    changed = ("change resource name:r0 role:Primary",)
    kernel = Kernel([(*UP, "exists -"), (), (), (), changed], [("exists -",), ()])
    kernel.proc = PROC.format("Secondary")
    told = await first(kernel.events(), 2)
    assert told[1] == ()  # The first run went to its end.
    assert kernel.idle_s[3] == CROSS_CHECK_S  # In peace it looks rarely.


async def test_progress_of_a_resync_comes_from_the_kernel() -> None:
    syncing = ("change peer-device name:r0 volume:0 replication:SyncSource",)
    kernel = Kernel([(*UP, *syncing, "exists -"), (), ()])
    kernel.proc = (
        PROC.format("Secondary").replace("cs:Connected", "cs:SyncSource")
        + "    ns:1 oos:2048\n\t[====>....] sync'ed: 42.5% (1/2)K\n"
    )
    ((facts,),) = await first(kernel.events(), 1)
    assert facts.sync_done == 0.425
    assert facts.out_of_sync_bytes == 2048 * 1024


WAITS: Final = PROC.format("Primary") + (
    "    ns:{ns} nr:0 dw:9 dr:9 al:8 bm:0 lo:{lo} pe:{pe} ua:0 ap:{ap} ep:1 wo:f oos:0\n"
)


@pytest.mark.parametrize(
    ("flows", "told"),
    [
        ([(5, 0, 2, 2)] * 5, [False, False, True, True, True]),
        ([(5, 0, 2, 2)] * 4 + [(6, 0, 2, 2)], [False, False, True, True, False]),
        ([(each, 0, 2, 2) for each in range(5)], [False] * 5),  # It goes on.
        ([(5, 1, 2, 2)] * 5, [False] * 5),  # Our own disk hangs.
        ([(5, 0, 0, 2)] * 5, [False] * 5),
        ([(5, 0, 2, 0)] * 5, [False] * 5),  # A resync waits, no program.
    ],
)
@virtually
async def test_writes_that_wait_for_the_peer_alone_are_told(
    flows: list[tuple[int, int, int, int]], told: list[bool]
) -> None:
    """Each look, a second later, finds one of the flows: ns, lo, pe and ap."""
    found: list[bool] = []

    class Flowing(Kernel):
        async def _follow(
            self, argv: tuple[str, ...], idle_s: Callable[[], float]
        ) -> AsyncGenerator[tuple[str, ...]]:
            del argv
            for number, (ns, lo, pe, ap) in enumerate(flows):
                self.proc = WAITS.format(ns=ns, lo=lo, pe=pe, ap=ap)
                yield () if number else (*UP, "change resource name:r0 role:Primary", "exists -")
                await asyncio.sleep(idle_s())  # What came is settled first.
                yield ()
                known = events.facts("r0")
                assert known is not None
                found.append(known.overdue)
                await asyncio.sleep(1.0)

    events = Flowing().events()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(len(flows) * 10.0):
            async for _ in events.watch():
                pass
    assert found[: len(flows)] == told


async def test_without_the_module_no_resource_exists() -> None:
    kernel = Kernel(loaded=False)
    assert await first(kernel.events(), 1) == [()]


PEER = "10.77.2.2"
CONNECTS = ("change connection name:r0 connection:Connected role:Secondary",)
REPLICATES = ("change peer-device name:r0 volume:0 replication:Established peer-disk:UpToDate",)


def judging(kernel: Kernel) -> Events:
    events = kernel.events()
    events.peer = PEER
    return events


async def test_a_connection_to_the_peer_is_told_as_soon_as_its_address_is_known() -> None:
    kernel = Kernel([(*UP, "exists -"), ()], addresses=[{"r0": PEER}])
    ((facts,),) = await first(judging(kernel), 1)
    assert facts.kernel_answers
    assert not kernel.addresses


async def test_a_connection_to_another_machine_says_nothing_of_the_peer() -> None:
    kernel = Kernel([(*UP, "exists -"), ()], addresses=[{"r0": "192.0.2.9"}])
    ((facts,),) = await first(judging(kernel), 1)
    assert facts.disk is Disk.UP_TO_DATE
    assert facts.connection is Connection.CONNECTING
    assert (facts.peer_role, facts.peer_disk) == (Role.UNKNOWN, Disk.UNKNOWN)


async def test_the_role_of_another_machine_is_not_told_either_while_nothing_is_replicated_yet() -> (
    None
):
    primary = ("change connection name:r0 connection:Connected role:Primary",)
    off = ("change peer-device name:r0 volume:0 replication:Off",)
    kernel = Kernel([(*UP, *primary, *off, "exists -"), ()], addresses=[{"r0": "192.0.2.9"}])
    ((facts,),) = await first(judging(kernel), 1)
    assert facts.peer_role is Role.UNKNOWN


async def test_what_could_not_be_looked_up_is_looked_up_again_and_proves_nothing_until_then() -> (
    None
):
    kernel = Kernel([(*UP, "exists -"), (), (), ()], addresses=[{}, {"r0": PEER}])
    told = await first(judging(kernel), 2)
    assert [facts.kernel_answers for (facts,) in told] == [False, True]
    assert kernel.idle_s[2] == 0.5  # It does not wait for the next event.


async def test_a_connection_that_is_made_anew_may_lead_elsewhere() -> None:
    anew = "create connection name:r0 peer-node-id:0 conn-name:peer connection:StandAlone"
    kernel = Kernel(
        [(*UP, "exists -"), (), (anew, *CONNECTS, *REPLICATES), ()],
        addresses=[{"r0": PEER}, {"r0": "192.0.2.9"}],
    )
    told = await first(judging(kernel), 2)
    assert [facts.kernel_answers for (facts,) in told] == [True, False]


async def test_after_a_restart_of_the_program_the_last_answer_counts_until_there_is_a_new_one() -> (
    None
):
    kernel = Kernel(
        [(*UP, "exists -"), ()],
        [(*UP, "exists -"), (), ("change resource name:r0 role:Primary",), ()],
        addresses=[{"r0": PEER}],
    )
    told = await first(judging(kernel), 3)
    assert [facts.kernel_answers for (facts,) in told] == [True, True, True]


async def test_a_resource_of_others_with_several_volumes_is_no_reason_to_start_again() -> None:
    two = (
        "exists resource name:backup role:Primary suspended:no",
        "exists device name:backup volume:0 minor:4 disk:UpToDate",
        "exists device name:backup volume:1 minor:5 disk:Inconsistent",
        "exists connection name:backup conn-name:peer connection:Connected role:Secondary",
        "exists peer-device name:backup volume:0 replication:Established peer-disk:UpToDate",
        "exists peer-device name:backup volume:1 replication:SyncTarget peer-disk:UpToDate",
        "exists -",
    )
    more = ("change resource name:backup role:Secondary",)
    kernel = Kernel([two, (), (), (), more, ()])
    kernel.proc = (
        "version: 8.4.11 (api:1)\n"
        " 4: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----\n"
        " 5: cs:SyncTarget ro:Primary/Secondary ds:Inconsistent/UpToDate C r-----\n"
    )
    events = kernel.events()
    ((facts,), _) = await first(events, 2)
    assert facts.disk is Disk.UP_TO_DATE
    assert facts.connection is Connection.CONNECTED
    assert not kernel.runs
    assert [events.holder(minor) for minor in (4, 5, 6)] == ["backup", "backup", ""]
