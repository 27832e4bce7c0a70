"""What others write to a volume while DRBD does not have it is found out."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from hapair.core.words.effects import Do
from hapair.core.words.events import DataChanged, Event, Tick
from hapair.model.backing import LastSeen
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.outcome import Done, Foreign, Outcome, Refused, Unknown
from hapair.runtime.node.attachments import Attachments
from tests.fakes.backing import UNWRITTEN, FakeBackings
from tests.fakes.hands import FakeReplication
from tests.runtime.fakes import SECOND_VOLUME, VOLUME, built
from tests.runtime.virtual_time import virtually

NAME = VOLUME.resource
ALONE = VolumeFacts(
    NAME, Role.SECONDARY, Role.UNKNOWN, Disk.CONSISTENT, Disk.UNKNOWN, Connection.CONNECTING
)


@dataclass
class Side:
    replication: FakeReplication = field(default_factory=FakeReplication)
    backing: FakeBackings = field(default_factory=FakeBackings)
    again_s: float = 30.0

    def __post_init__(self) -> None:
        self.new_daemon()

    def new_daemon(self) -> None:
        self.attachments = Attachments(self.replication, self.backing, again_s=self.again_s)

    async def up(self, do: Do = Do.BRING_UP) -> Outcome:
        return await self.attachments.bring_up(do, VOLUME, 5.0)

    async def down(self) -> Outcome:
        return await self.attachments.take_down(VOLUME, 5.0)

    def boot(self) -> None:
        self.replication.known.clear()
        assert not isinstance(self.backing.now, Refused | Unknown)
        self.backing.now = replace(
            self.backing.now, activation=self.backing.now.activation + " again", written_sectors=0
        )
        self.new_daemon()

    async def hears(self) -> None:
        """Let the kernel say something, and the daemon look at what that means."""
        seen: list[Event] = []
        offer = self.attachments.feed(seen.append)
        task = asyncio.ensure_future(self.attachments.run(built))
        for event in (Tick(1.0), DataChanged(1.0, ())):
            offer(event)
        for _ in range(30):
            await asyncio.sleep(0)
        task.cancel()
        assert len(seen) == 2


async def fails(*_: object, **__: object) -> Outcome:
    return Unknown("drbdadm adjust ended with 1")


@pytest.fixture
def side() -> Side:
    return Side()


async def test_an_ordinary_life_raises_no_doubt(side: Side) -> None:
    """Attached, written by DRBD, let go, attached again; a boot, a power loss, a restart."""
    for happening in ("clhalt", "reboot", "power", "daemon", "clhalt"):
        assert isinstance(await side.up(), Done), happening
        side.backing.write(1000)
        if happening in ("clhalt", "reboot"):
            assert isinstance(await side.down(), Done)
        if happening in ("reboot", "power"):
            side.boot()
        if happening == "daemon":
            side.new_daemon()
        await side.hears()
    assert isinstance(await side.up(), Done)


async def test_what_was_written_after_it_was_let_go_is_found_out(side: Side) -> None:
    await side.up()
    await side.down()
    assert side.backing.guarded == [NAME]
    side.backing.write(8)
    side.backing.who = "line 12 of /etc/fstab mounts it on /mnt"
    for _ in range(2):
        outcome = await side.up()
        assert isinstance(outcome, Foreign)
        assert "vg_orders/data: it was written since DRBD let it go; line 12" in outcome.why
    assert side.replication.known == {}
    assert isinstance(await side.up(Do.BRING_UP_ANEW), Done)
    await side.down()
    assert isinstance(await side.up(), Done), "it is DRBD's again"


async def test_what_a_boot_wrote_after_a_power_loss_is_found_out(side: Side) -> None:
    await side.up()
    side.boot()
    side.backing.write(8)
    assert isinstance(await side.up(), Foreign)
    assert isinstance(await side.up(Do.BRING_UP_AS_IT_IS), Done)


async def test_what_a_rescue_system_wrote_is_found_out(side: Side) -> None:
    await side.up()
    await side.down()
    side.backing.write(8)
    side.boot()
    assert isinstance(await side.up(), Foreign)


class HungMemory(FakeBackings):
    """What is remembered of the first volume lies where nothing answers."""

    async def last_seen(self, resource: str) -> LastSeen | None:
        if resource == NAME:
            await asyncio.Event().wait()
        return await super().last_seen(resource)

    async def remember(self, resource: str, seen: LastSeen | None) -> Outcome:
        if resource == NAME:
            await asyncio.Event().wait()
        return await super().remember(resource, seen)


@virtually
async def test_a_disk_that_hangs_below_what_is_remembered_keeps_no_other_volume_waiting() -> None:
    side = Side(
        backing=HungMemory(memory={SECOND_VOLUME.resource: LastSeen(UNWRITTEN, attached=False)})
    )
    offer = side.attachments.feed(lambda _: None)
    task = asyncio.ensure_future(side.attachments.run(built))
    offer(DataChanged(1.0, ()))
    await asyncio.sleep(60.0)
    assert side.backing.guarded == [SECOND_VOLUME.resource]
    for name in (NAME, SECOND_VOLUME.resource):
        side.replication.known[name] = replace(ALONE, resource=name, disk=Disk.UP_TO_DATE)
    offer(DataChanged(2.0, ()))
    await asyncio.sleep(60.0)
    task.cancel()
    assert side.backing.memory[SECOND_VOLUME.resource].attached


async def test_a_node_of_the_former_version_remembers_nothing(side: Side) -> None:
    side.backing.write(8)
    assert isinstance(await side.up(), Done)


async def test_what_is_attached_is_only_connected(side: Side) -> None:
    side.replication.set(ALONE)
    side.backing.memory[NAME] = LastSeen(UNWRITTEN, attached=False)
    side.backing.write(8)
    assert isinstance(await side.up(), Done)


async def test_what_others_attached_is_drbds_from_then_on(side: Side) -> None:
    """An administrator, a build, or the system at its start: "drbdadm up"."""
    await side.up()
    await side.down()
    side.replication.set(ALONE)
    await side.hears()
    side.backing.write(1000)
    side.boot()
    assert isinstance(await side.up(), Done)


async def test_what_cannot_be_looked_at_is_looked_at_again(side: Side) -> None:
    side.backing.memory[NAME] = LastSeen(UNWRITTEN, attached=False)
    side.replication.set(ALONE)
    side.backing.now = Unknown("it cannot be read")
    await side.hears()
    assert not side.backing.memory[NAME].attached
    side.backing.now = UNWRITTEN
    await side.hears()
    assert side.backing.memory[NAME].attached


async def test_what_a_new_daemon_finds_attached_is_protected_from_then_on(side: Side) -> None:
    """After an upgrade, or a build: the next boot must not write to it before DRBD."""
    side.replication.set(ALONE)
    side.backing.write(8)
    await side.hears()
    side.boot()
    side.backing.write(8)
    assert isinstance(await side.up(), Foreign)


async def test_what_a_boot_attached_before_the_daemon_is_drbds(side: Side) -> None:
    await side.up()
    side.boot()
    side.replication.set(ALONE)
    side.backing.write(1000)
    await side.hears()
    side.replication.set(replace(ALONE, disk=Disk.DISKLESS))
    assert isinstance(await side.up(), Done)


async def test_a_failed_attachment_forgets_nothing(side: Side) -> None:
    await side.up()
    await side.down()
    before = dict(side.backing.memory)

    side.replication.bring_up = fails  # type: ignore[method-assign]
    assert isinstance(await side.up(), Unknown)
    assert side.backing.memory == before


async def test_without_a_look_or_a_memory_nothing_is_attached(side: Side) -> None:
    side.backing.now = Refused("lvchange ended with 5")
    assert await side.up() == Refused("lvchange ended with 5")
    side.backing.now = UNWRITTEN
    side.backing.full = True
    assert isinstance(await side.up(), Refused)
    assert side.replication.known == {}


async def test_of_a_disk_that_was_given_up_writes_may_still_be_under_way(side: Side) -> None:
    await side.up()
    side.replication.set(replace(ALONE, disk=Disk.DISKLESS))
    side.backing.now = replace(UNWRITTEN, under_way=2)
    await side.down()
    side.backing.write(8)
    assert isinstance(await side.up(), Done)
    await side.down()
    side.backing.now = replace(side.backing.seen, under_way=0)
    await side.hears()
    assert side.backing.guarded
    assert isinstance(await side.up(), Done)


@pytest.mark.parametrize("disk", [None, Disk.DISKLESS], ids=["down", "detach"])
@pytest.mark.parametrize("heard", [True, False])
async def test_what_was_taken_from_drbd_by_hand_is_nobodys(
    side: Side,
    disk: Disk | None,
    heard: bool,  # noqa: FBT001
) -> None:
    """Seen when the kernel tells it, or at the first attachment that fails: somebody has it."""
    await side.up()
    side.replication.set(ALONE)
    side.backing.write(1000)
    await side.hears()
    side.replication.known.clear()
    if disk is not None:
        side.replication.set(replace(ALONE, disk=disk))
    if heard:
        await side.hears()
        assert side.backing.guarded == [NAME]
    else:
        real = side.replication.bring_up
        side.replication.bring_up = fails  # type: ignore[method-assign]
        assert isinstance(await side.up(), Unknown)
        side.replication.bring_up = real  # type: ignore[method-assign]
    side.backing.write(8)
    assert isinstance(await side.up(), Foreign)


@pytest.mark.parametrize("again_s", [30.0, 0.0])
async def test_a_lost_disk_that_gives_errors_is_asked_now_and_then(again_s: float) -> None:
    side = Side(again_s=again_s)
    await side.up()
    side.replication.set(replace(ALONE, disk=Disk.DISKLESS))
    side.backing.now = Unknown("it cannot be read")
    await side.hears()
    side.backing.now = UNWRITTEN
    await side.hears()
    assert side.backing.memory[NAME].attached is (again_s > 0)


async def test_another_volume_in_its_place_is_not_attached(side: Side) -> None:
    await side.up()
    await side.down()
    side.backing.now = replace(side.backing.seen, volume="LVM-made-anew")
    assert isinstance(await side.up(), Foreign)


async def test_what_a_build_made_anew_is_drbds(side: Side) -> None:
    """An application was taken back, and built again on another volume of that name."""
    await side.up()
    await side.hears()
    known = [replace(built(), applications=())]
    task = asyncio.ensure_future(side.attachments.run(lambda: known[0]))
    for configured in (known[0], built()):
        known[0] = configured
        side.replication.set(ALONE)
        side.attachments.look_again()
        for _ in range(30):
            await asyncio.sleep(0)
        side.backing.now = replace(side.backing.seen, volume="LVM-made-anew")
    task.cancel()
    side.boot()
    assert isinstance(await side.up(), Done)


async def test_before_the_kernel_has_spoken_nothing_is_concluded(side: Side) -> None:
    await side.up()
    side.new_daemon()
    side.replication.known.clear()
    side.attachments.look_again()
    task = asyncio.ensure_future(side.attachments.run(built))
    for _ in range(30):
        await asyncio.sleep(0)
    task.cancel()
    assert side.backing.memory[NAME].attached


async def test_what_cannot_be_looked_at_when_it_is_let_go_is_not_remembered(side: Side) -> None:
    await side.up()
    side.backing.now = Unknown("it cannot be read")
    assert isinstance(await side.down(), Done)
    assert side.backing.memory[NAME].attached


async def test_a_volume_that_is_held_open_stays_drbds(side: Side) -> None:
    await side.up()
    side.replication.held.add(NAME)
    assert isinstance(await side.down(), Refused)
    assert side.backing.guarded == []
    assert side.backing.memory[NAME].attached


async def test_a_new_daemon_guards_what_is_not_attached(side: Side) -> None:
    side.backing.memory[NAME] = LastSeen(UNWRITTEN, attached=True)
    for _ in range(2):
        await side.hears()
    assert side.backing.guarded == [NAME]
