"""Effects become deeds, and every deed is answered exactly once."""

import asyncio
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface
from typing import Final

import pytest

from hapair.core.words.effects import (
    Act,
    Do,
    Effect,
    Layer,
    Look,
    Note,
    ProbeReferences,
    Publish,
    Reply,
    ResetNode,
    SetBeat,
    Store,
    Watch,
)
from hapair.core.words.events import (
    Ended,
    EndedTogether,
    Event,
    Looked,
    LookedTogether,
    ReferencesProbed,
)
from hapair.core.words.stored import Stored
from hapair.model import timing
from hapair.model.application import ServiceAddress
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.holders import UNSEEN, Held, Holders
from hapair.model.outcome import Done, NotNow, Outcome, Refused, Unknown
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.perform import GRACE_S, PROGRAM_LOOK_S, Outlets, Performer
from tests.runtime.conftest import names
from tests.runtime.fakes import (
    VOLUME,
    LoopClock,
    Machine,
    beat,
    built,
    peer_state,
)
from tests.runtime.virtual_time import virtually

DEEDS: Final = {
    Do.BRING_UP: "bring_up orders.data",
    Do.BRING_UP_ANEW: "bring_up_anew orders.data",
    Do.BRING_UP_AS_IT_IS: "bring_up_as_it_is orders.data",
    Do.TAKE_DOWN: "take_down orders.data",
    Do.PROMOTE: "promote orders.data",
    Do.DEMOTE: "demote orders.data",
    Do.DETACH: "detach_by_force orders.data",
    Do.RESUME: "resume orders.data",
    Do.MOUNT: "mount orders.data",
    Do.UNMOUNT: "unmount orders.data",
    Do.END_HOLDERS: "end_holders orders.data",
    Do.ADD_ADDRESSES: "add 1",
    Do.REMOVE_ADDRESSES: "remove 1",
    Do.ANNOUNCE_ADDRESSES: "announce 1",
    Do.RESTORE_ADDRESSES: "add 1",
    Do.START_PROGRAM: "start orders",
    Do.STOP_PROGRAM: "stop orders",
    Do.KILL_PROGRAM: "kill orders",
}
OF_APPLICATIONS: Final = (
    Do.ADD_ADDRESSES,
    Do.REMOVE_ADDRESSES,
    Do.ANNOUNCE_ADDRESSES,
    Do.RESTORE_ADDRESSES,
    Do.START_PROGRAM,
    Do.STOP_PROGRAM,
    Do.KILL_PROGRAM,
)


@dataclass(slots=True)
class Stage:
    """A performer on a machine, with everything that it says."""

    machine: Machine
    performer: Performer
    told: list[object]
    events: list[Event]
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def do(self, *effects: Effect) -> None:
        """Perform the effects and wait until all that they began has ended."""
        for effect in effects:
            await self.performer.perform(effect)
        while self.tasks:
            await asyncio.gather(*self.tasks)
        await asyncio.sleep(0)

    def looks(self) -> list[Looked]:
        told = (event for event in self.events if isinstance(event, LookedTogether))
        return [answer for event in told for answer in event.answers]

    def ends(self) -> tuple[Ended, ...]:
        together = (event for event in self.events if isinstance(event, EndedTogether))
        alone = (event for event in self.events if isinstance(event, Ended))
        return (*alone, *(ended for event in together for ended in event.ends))

    def outcomes(self) -> dict[int, Outcome]:
        return {ended.effect_id: ended.outcome for ended in self.ends()}


@pytest.fixture
def stage(journal: Journal) -> Stage:
    machine, told, events = Machine(), list[object](), list[Event]()
    tasks: set[asyncio.Task[None]] = set()

    async def store(stored: Stored) -> None:
        told.append(stored)

    def spawn(work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    tell = told.append
    outlets = Outlets(
        store,
        tell,
        tell,
        tell,
        tell,
        events.append,
        tell,
        lambda: tell("fence"),
        tell,
        tell,
        tell,
        tell,
    )
    performer = Performer(machine.hands(), outlets, journal, LoopClock(), spawn)
    performer.built = built()
    return Stage(machine, performer, told, events, tasks)


async def test_a_reset_is_asked_for(stage: Stage) -> None:
    await stage.performer.perform(ResetNode("orders"))
    assert stage.told == [ResetNode("orders")]


async def test_who_is_to_be_watched_is_told(stage: Stage) -> None:
    await stage.performer.perform(Watch("orders", 3))
    assert stage.told == [Watch("orders", 3)]


def act(do: Do, effect_id: int = 1, resource: str = "orders.data", timeout_s: float = 5.0) -> Act:
    return Act(effect_id, do, "orders", "" if do in OF_APPLICATIONS else resource, timeout_s)


@pytest.mark.parametrize("do", Do)
async def test_every_action_reaches_its_port_and_is_answered_once(stage: Stage, do: Do) -> None:
    await stage.do(act(do, 42))
    assert stage.machine.asked == [DEEDS[do]]
    assert stage.outcomes() == {42: Done()}
    assert len(stage.events) == 1


@pytest.mark.parametrize("do", Do)
@pytest.mark.parametrize("outcome", [Refused("no"), Unknown("perhaps"), Done("with a note")])
async def test_what_the_port_says_is_what_the_core_hears(
    stage: Stage, do: Do, outcome: Outcome
) -> None:
    stage.machine.answers[DEEDS[do]] = outcome
    await stage.do(act(do))
    assert stage.outcomes() == {1: outcome}


@pytest.mark.parametrize(
    ("do", "outcome", "told"),
    [
        (Do.START_PROGRAM, Refused("exit code 1"), (VOLUME.mount_point,)),
        (Do.START_PROGRAM, Done(), ()),
        (Do.MOUNT, Refused("no"), ()),
    ],
)
async def test_a_program_that_did_not_start_is_told_with_what_is_full(
    stage: Stage, do: Do, outcome: Outcome, told: tuple[str, ...]
) -> None:
    stage.machine.no_room = (VOLUME.mount_point,)
    stage.machine.answers[DEEDS[do]] = outcome
    await stage.do(act(do))
    assert [ended.full for ended in stage.ends()] == [told]


@pytest.mark.parametrize("do", Do)
@virtually
async def test_an_action_that_never_ends_is_unknown_soon_after_its_time_limit(
    stage: Stage, do: Do
) -> None:
    stage.machine.gates[DEEDS[do]] = asyncio.Event()
    began_s = asyncio.get_running_loop().time()
    await stage.do(act(do, timeout_s=5.0))
    assert asyncio.get_running_loop().time() - began_s == pytest.approx(5.0 + GRACE_S)
    assert stage.outcomes() == {1: Unknown(f"{do}: no answer within 5 s")}


async def test_an_address_that_cannot_be_put_back_keeps_no_other_one_away(stage: Stage) -> None:
    bad = "10.77.1.52"
    addresses = tuple(
        ServiceAddress("public", ip_interface(f"10.77.1.{number}/24")) for number in range(50, 57)
    )
    (orders, *_) = built().applications
    application = replace(orders.application, addresses=addresses)
    stage.performer.built = replace(
        built(), applications=(replace(orders, application=application),)
    )
    put_back: list[str] = []

    async def add(
        _: Machine, wanted: tuple[ServiceAddress, ...], *, timeout_s: float, despite_peer: bool
    ) -> Outcome:
        del timeout_s
        assert not despite_peer
        names = [str(one.address.ip) for one in wanted]
        if bad in names:
            return Refused(f"{bad} already answers")
        put_back.extend(names)
        return Done()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Machine, "add", add)
        await stage.do(act(Do.RESTORE_ADDRESSES))
    assert stage.outcomes() == {1: Refused(f"{bad} already answers")}
    assert put_back == [f"10.77.1.{number}" for number in range(50, 57) if number != 52]


async def test_an_error_of_the_system_is_unknown_not_the_end_of_the_daemon(stage: Stage) -> None:
    stage.machine.answers["mount orders.data"] = OSError(5, "Input/output error")
    await stage.do(act(Do.MOUNT))
    assert stage.outcomes() == {1: Unknown("mount: [Errno 5] Input/output error")}


async def test_an_error_that_passes_is_not_now(stage: Stage) -> None:
    stage.machine.answers["mount orders.data"] = OSError(24, "Too many open files")
    await stage.do(act(Do.MOUNT))
    assert stage.outcomes() == {1: NotNow("mount: [Errno 24] Too many open files")}


async def test_a_bug_of_an_adapter_is_not_taken_for_an_outcome(stage: Stage) -> None:
    stage.machine.answers["mount orders.data"] = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await stage.do(act(Do.MOUNT))
    assert stage.events == []


async def test_volumes_are_worked_on_in_parallel(stage: Stage) -> None:
    gate = asyncio.Event()
    stage.machine.gates["promote orders.data"] = gate
    await stage.performer.perform(act(Do.PROMOTE, 1))
    await stage.performer.perform(act(Do.PROMOTE, 2, resource="orders.log"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert list(stage.outcomes()) == [2]
    gate.set()
    await stage.do()
    assert list(stage.outcomes()) == [2, 1]


async def test_actions_on_one_volume_wait_for_each_other(stage: Stage) -> None:
    gate = asyncio.Event()
    stage.machine.gates["promote orders.data"] = gate
    await stage.performer.perform(act(Do.PROMOTE, 1))
    await stage.performer.perform(act(Do.DEMOTE, 2))
    for _ in range(20):
        await asyncio.sleep(0)
    assert stage.machine.asked == ["promote orders.data"]
    gate.set()
    await stage.do()
    assert stage.machine.asked == ["promote orders.data", "demote orders.data"]
    assert list(stage.outcomes()) == [1, 2]


async def test_addresses_do_not_wait_for_the_program(stage: Stage) -> None:
    stage.machine.gates["stop orders"] = asyncio.Event()
    await stage.performer.perform(act(Do.STOP_PROGRAM, 1))
    await stage.performer.perform(act(Do.REMOVE_ADDRESSES, 2))
    for _ in range(20):
        await asyncio.sleep(0)
    assert list(stage.outcomes()) == [2]
    stage.machine.gates["stop orders"].set()
    await stage.do()


async def test_a_kill_does_not_wait_for_the_start_that_it_ends(stage: Stage) -> None:
    stage.machine.gates["start orders"] = asyncio.Event()
    await stage.performer.perform(act(Do.START_PROGRAM, 1))
    for _ in range(20):
        await asyncio.sleep(0)
    assert stage.machine.asked == ["start orders"]
    await stage.performer.perform(act(Do.KILL_PROGRAM, 2))
    for _ in range(20):
        await asyncio.sleep(0)
    assert list(stage.outcomes()) == [2]
    stage.machine.gates["start orders"].set()
    await stage.do()


@pytest.mark.parametrize("do", [Do.DETACH, Do.RESUME])
async def test_what_frees_frozen_writes_does_not_wait_for_who_waits_for_them(
    stage: Stage, do: Do
) -> None:
    stage.machine.gates["unmount orders.data"] = asyncio.Event()
    await stage.performer.perform(act(Do.UNMOUNT, 1))
    await stage.performer.perform(act(do, 2))
    for _ in range(20):
        await asyncio.sleep(0)
    assert list(stage.outcomes()) == [2]
    stage.machine.gates["unmount orders.data"].set()
    await stage.do()


async def test_what_is_not_built_is_refused(stage: Stage) -> None:
    await stage.do(
        Act(1, Do.MOUNT, "nobody", "nobody.data", 5.0),
        Act(2, Do.MOUNT, "orders", "orders.other", 5.0),
        Act(3, Do.START_PROGRAM, "plain", "", 5.0),
        Act(4, Do.MOUNT, "orders", "", 5.0),
        Act(5, Do.START_PROGRAM, "orders", "orders.data", 5.0),
    )
    assert stage.outcomes() == {
        1: Refused("nobody is not built on this node"),
        2: Refused("orders.other is not built on this node"),
        3: Done("it has no program"),
        4: Refused("mount is done to a volume"),
        5: Refused("start program is not done to a volume"),
    }
    assert stage.machine.asked == []


async def test_each_action_is_a_line_of_the_history_with_its_duration(
    stage: Stage, journal: Journal
) -> None:
    stage.machine.answers["demote orders.data"] = Refused("busy")
    await stage.do(act(Do.PROMOTE), act(Do.DEMOTE, 2))
    promote, demote = journal.since(0, 10)
    assert (promote["name"], promote["severity"]) == ("promote", "info")
    assert (demote["name"], demote["severity"]) == ("demote", "warning")
    assert demote["text"] == "orders.data: refused: busy"
    assert "took_s" in promote


async def test_who_holds_a_device_that_cannot_be_given_up_is_named(stage: Stage) -> None:
    stage.machine.answers["demote orders.data"] = Refused("Device is held open by someone")
    await stage.do(act(Do.DEMOTE))
    stage.machine.holders = Holders((Held("the mount on /export", "umount /export"),), "programs")
    await stage.do(act(Do.DEMOTE, 2))
    nobody, somebody = stage.outcomes().values()
    assert UNSEEN in str(nobody)
    assert isinstance(somebody, Refused)
    assert somebody.why == (
        "Device is held open by someone; /dev/drbd0 is held by the mount on /export, "
        "what could not be looked at: programs"
    )


def facts(role: Role) -> VolumeFacts:
    return VolumeFacts(
        VOLUME.resource, role, Role.SECONDARY, Disk.UP_TO_DATE, Disk.UP_TO_DATE,
        Connection.CONNECTED,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "up", "down"),
    [
        (Layer.ATTACHED, {"known": {VOLUME.resource: facts(Role.SECONDARY)}}, {}),
        (
            Layer.PROMOTED,
            {"known": {VOLUME.resource: facts(Role.PRIMARY)}},
            {"known": {VOLUME.resource: facts(Role.SECONDARY)}},
        ),
        (Layer.MOUNTED, {"is_mounted": True}, {"is_mounted": False}),
        (Layer.ADDRESSED, {"addresses_present": True}, {"addresses_present": False}),
        (Layer.PROGRAM, {"program_runs": True}, {"program_runs": False}),
    ],
)
async def test_a_look_finds_each_layer_up_or_down(
    stage: Stage, layer: Layer, up: dict[str, object], down: dict[str, object]
) -> None:
    resource = "" if layer in (Layer.ADDRESSED, Layer.PROGRAM) else VOLUME.resource
    for effect_id, setting in enumerate((up, down), 1):
        stage.machine.known.clear()
        for name, value in setting.items():
            setattr(stage.machine, name, value)
        await stage.do(Look(effect_id, layer, "orders", resource))
    found = [(looked.effect_id, looked.up) for looked in stage.looks()]
    assert found == [(1, True), (2, False)]


async def test_a_look_at_addresses_says_what_is_wrong_with_them(stage: Stage) -> None:
    stage.machine.address_trouble = "10.77.1.50 is on no card"
    await stage.do(
        Look(1, Layer.ADDRESSED, "orders", ""),
        Look(2, Layer.PROGRAM, "orders", ""),
        Look(3, Layer.ADDRESSED, "nobody", ""),
    )
    said = [looked.trouble for looked in stage.looks()]
    assert said == [stage.machine.address_trouble, "", ""]


async def test_why_a_look_failed_is_what_is_wrong(stage: Stage) -> None:
    stage.machine.address_error = OSError(24, "Too many open files")
    await stage.do(Look(1, Layer.ADDRESSED, "orders", ""))
    (looked,) = stage.looks()
    assert looked.up is None
    assert "Too many open files" in looked.trouble


@virtually
async def test_a_program_that_cannot_be_asked_is_left_alone(stage: Stage, journal: Journal) -> None:
    stage.machine.gates["running orders"] = asyncio.Event()
    began_s = asyncio.get_running_loop().time()
    await stage.do(Look(1, Layer.PROGRAM, "orders", ""))
    assert asyncio.get_running_loop().time() - began_s == pytest.approx(PROGRAM_LOOK_S)
    assert PROGRAM_LOOK_S > timing.MONITOR_S  # Its own answer counts, if it gives one in time.
    (looked,) = stage.looks()
    assert looked.up is True
    assert "no answer in time" in looked.trouble
    assert names(journal) == []


async def test_looks_that_end_together_are_told_together(stage: Stage) -> None:
    """Each event is a decision about everything; heartbeats wait for none of hundreds."""
    await stage.do(
        Look(1, Layer.PROGRAM, "orders", ""),
        Look(2, Layer.ADDRESSED, "orders", ""),
        Look(3, Layer.MOUNTED, "orders", VOLUME.resource),
    )
    (told,) = stage.events
    assert isinstance(told, LookedTogether)
    assert [looked.effect_id for looked in told.answers] == [1, 2, 3]


async def test_actions_that_end_together_are_told_together(stage: Stage) -> None:
    await stage.do(act(Do.ADD_ADDRESSES, 1), act(Do.PROMOTE, 2))
    (told,) = stage.events
    assert isinstance(told, EndedTogether)
    assert [ended.effect_id for ended in told.ends] == [1, 2]


async def test_what_was_never_built_is_not_up(stage: Stage) -> None:
    await stage.do(
        Look(1, Layer.PROGRAM, "nobody", ""),
        Look(2, Layer.MOUNTED, "orders", "orders.other"),
    )
    assert [looked.up for looked in stage.looks()] == [False, False]


async def test_references_are_probed_where_there_is_one(stage: Stage) -> None:
    stage.machine.answering = {"public"}
    await stage.do(ProbeReferences(0.4))
    (probed,) = stage.events
    assert isinstance(probed, ReferencesProbed)
    assert probed.answering == ("public",)
    assert stage.machine.asked == ["ping public"]


@virtually
async def test_a_probe_that_hangs_or_fails_is_no_answer(stage: Stage) -> None:
    stage.machine.answering = {"public"}
    stage.machine.answers["ping public"] = OSError(101, "Network is unreachable")
    await stage.do(ProbeReferences(0.4))
    stage.machine.answers.clear()
    stage.machine.gates["ping public"] = asyncio.Event()
    await stage.do(ProbeReferences(0.4))
    assert [e.answering for e in stage.events if isinstance(e, ReferencesProbed)] == [(), ()]


async def test_all_other_effects_go_to_their_outlets(stage: Stage) -> None:
    effects = (
        Store(Stored(epoch=3)),
        Publish(peer_state()),
        SetBeat(beat()),
        Reply(9, accepted=True, text="done"),
        Note("granted", "may act alone"),
    )
    await stage.do(*effects)
    expected = [Stored(epoch=3), peer_state(), beat(), effects[3], effects[4]]
    assert stage.told == expected
