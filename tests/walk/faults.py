"""What may happen before a turn: a fault, its end, or something that an operator types."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from hapair.core.words.effects import Do
from hapair.core.words.events import Command, ConfirmPeerDown, Form, Halt, Leave, Move, Run
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Disk
from hapair.model.monitor import Trouble
from hapair.model.status import Standing, Wanted
from tests.sim.settings import NODES
from tests.walk import hands, promise
from tests.walk.moment import Moment
from tests.walk.place import DEAD, MUTE, NETWORKS, SLOW, Dies, Power, Process, other
from tests.walk.settings import FORM_S, NAME, STRANGE, Kind

BOTH: Final = (0, 1)


@dataclass(frozen=True, slots=True)
class Happening:
    """``costs`` is 1 for a fault; what ends a fault is free."""

    text: str
    costs: int
    possible: Callable[[Moment], bool]
    happen: Callable[[Moment], None] = lambda _moment: None
    command: Command | None = None  # Typed on the node whose turn is next.
    early: bool = False  # Kernels notice their losses before this turn.
    way: str = ""  # The way between the nodes that it ends.
    node: int | None = None


def happenings(kind: Kind) -> tuple[Happening, ...]:
    """Return everything that may happen in a walk of this kind, in a fixed order."""
    every: list[Happening] = [
        Happening("the kernel notices early", 0, _notices, early=True),
        Happening("the resync ends", 0, _resyncs, _end_resync),
    ]
    for index in BOTH:
        every += [*_power(index), *_processes(index), *_commands(kind, index)]
        every += [*_one_way(index), *_cables(index), _removes(index)]
        every += _finds(index, *(Trouble if kind.has_data else (Trouble.PROGRAM,)))
        if kind.has_data:
            every += _disks(index)
        for do, how in hands.TROUBLES:
            if kind.has_data or do in (Do.STOP_PROGRAM, Do.START_PROGRAM):
                every += _trouble(index, hands.trouble_word(do, how))
        every += _trouble(index, hands.BLIND)
        if kind.has_data:
            every += _trouble(index, hands.STREAMLESS)
    every += _cuts()
    if kind.shape.arbitration is ArbitrationKind.WITNESS:
        every += _witnesses(kind)
    if kind.shape.arbitration is ArbitrationKind.FENCING:
        every += _strip()
    if kind.shape.arbitration is ArbitrationKind.PATHS:
        every = [each for each in every if each.way not in promise.NEVER]
    return tuple(every)


def _notices(moment: Moment) -> bool:
    index = moment.turn
    quick = moment.two_way(1) and moment.boxes[other(index)].runs
    return moment.boxes[index].runs and moment.is_unaware(index) and not quick


def _resyncs(moment: Moment) -> bool:
    copies = moment.copies
    return copies is not None and copies.resource.resyncing and moment.path_works


def _end_resync(moment: Moment) -> None:
    assert moment.copies is not None
    moment.copies.resource.finish_resync()


# --- Nodes ----------------------------------------------------------------------------------------


def _power(index: int) -> list[Happening]:
    node = NODES[index]

    def is_on(moment: Moment) -> bool:
        return moment.boxes[index].powered

    def dies(how: Dies, moment: Moment) -> None:
        moment.boxes[index].dies = how

    def may_die(moment: Moment) -> bool:
        return is_on(moment) and moment.boxes[index].dies is Dies.NOT

    crashes = [
        Happening(f"{node} will lose power {how}", 1, may_die, partial(dies, how), node=index)
        for how in (Dies.BEFORE_STORE, Dies.AFTER_STORE)
    ]
    return [
        Happening(f"{node} loses power", 1, is_on, lambda m: m.power_off(index), node=index),
        Happening(
            f"{node} boots",
            0,
            lambda m: not m.boxes[index].powered,
            lambda m: m.power_on(index),
        ),
        *crashes,
    ]


def _processes(index: int) -> list[Happening]:
    node = NODES[index]

    def hang(how: Process, moment: Moment) -> None:
        moment.boxes[index].process = how

    def proceed(moment: Moment) -> None:
        moment.boxes[index].process = Process.UP

    def pause(moment: Moment) -> None:
        moment.boxes[index].power = Power.PAUSED
        if moment.boxes[index].process is Process.BUSY:
            moment.boxes[index].process = Process.HUNG  # A heart that stood still only waits.

    def resume(moment: Moment) -> None:
        moment.boxes[index].power = Power.ON
        moment.boxes[index].strange = STRANGE

    def is_paused(moment: Moment) -> bool:
        return moment.boxes[index].power is Power.PAUSED

    def is_hung(moment: Moment) -> bool:
        stands = moment.boxes[index].process in (Process.HUNG, Process.BUSY)
        return stands and not is_paused(moment)

    def listens(moment: Moment) -> bool:
        return moment.boxes[index].listens

    return [
        Happening(
            f"the daemon of {node} is killed", 1, listens, lambda m: m.kill(index), way="daemon"
        ),
        *(
            Happening(f"the daemon of {node} {text}", 1, listens, partial(hang, how), way="daemon")
            for how, text in ((Process.HUNG, "hangs"), (Process.BUSY, "is busy, its heart beats"))
        ),
        Happening(f"the daemon of {node} goes on", 0, is_hung, proceed),
        Happening(f"{node} is paused", 1, lambda m: m.boxes[index].runs, pause, way="machine"),
        Happening(f"{node} is resumed", 0, is_paused, resume),
    ]


def _trouble(index: int, word: str) -> list[Happening]:
    node = NODES[index]

    def begin(moment: Moment) -> None:
        moment.boxes[index].trouble = word
        moment.outside.troubled = True

    def end(moment: Moment) -> None:
        moment.boxes[index].trouble = ""

    return [
        Happening(
            f"on {node} {word}",
            1,
            lambda m: m.boxes[index].powered and not m.boxes[index].trouble,
            begin,
        ),
        Happening(f"on {node} no more {word}", 0, lambda m: m.boxes[index].trouble == word, end),
    ]


def _removes(index: int) -> Happening:
    """Let somebody remove the addresses; the kernel tells the daemon in its next turn."""

    def remove(moment: Moment) -> None:
        moment.boxes[index].address = False
        moment.boxes[index].changed = True

    def has(moment: Moment) -> bool:
        return moment.boxes[index].runs and moment.boxes[index].address

    return Happening(f"the addresses of {NODES[index]} are removed", 1, has, remove)


def _finds(index: int, *troubles: Trouble) -> list[Happening]:
    """Let the program end, its file system hang or be full; its monitors find that."""
    node = NODES[index]

    def begin(trouble: Trouble, moment: Moment) -> None:
        moment.boxes[index].found = trouble
        moment.outside.troubled = True
        if trouble is Trouble.PROGRAM:
            moment.boxes[index].program = False

    def serves(moment: Moment) -> bool:
        return moment.boxes[index].program is True and not moment.boxes[index].found

    def is_full(moment: Moment) -> bool:
        return moment.boxes[index].found == Trouble.DATA

    def make_room(moment: Moment) -> None:
        moment.boxes[index].found = ""

    begins = [
        Happening(f"monitors find {each} trouble on {node}", 1, serves, partial(begin, each))
        for each in troubles
    ]
    return [*begins, Happening(f"there is room on {node} again", 0, is_full, make_room)]


def _disks(index: int) -> list[Happening]:
    node = NODES[index]

    def breaks(moment: Moment) -> None:
        moment.side(index).broken = True
        assert moment.copies is not None
        moment.copies.resource.detach(node)

    def may_break(moment: Moment) -> bool:
        """Tell whether there is another good copy: nobody promises to bear the loss of both."""
        assert moment.copies is not None
        linked, there = moment.copies.resource.linked, moment.side(other(index)).disk
        side = moment.side(index)
        return side.attached and linked and there is Disk.UP_TO_DATE and moment.path_works

    def mend(moment: Moment) -> None:
        side = moment.side(index)
        side.broken = False
        assert moment.copies is not None
        if side.configured and not side.attached:
            moment.copies.resource.attach(node)

    return [
        Happening(f"the disk of {node} gives errors", 1, may_break, breaks, node=index),
        Happening(f"the disk of {node} is mended", 0, lambda m: m.side(index).broken, mend),
    ]


# --- Networks -------------------------------------------------------------------------------------


def _set_deaf(moment: Moment, index: int, networks: tuple[int, ...], deaf: bool) -> None:  # noqa: FBT001
    rows = [list(row) for row in moment.outside.deaf]
    for network in networks:
        rows[index][network] = deaf
    moment.outside.deaf = ((rows[0][0], rows[0][1]), (rows[1][0], rows[1][1]))


def _is_open(networks: tuple[int, ...], indices: tuple[int, ...], moment: Moment) -> bool:
    return not any(moment.outside.deaf[index][network] for index in indices for network in networks)


def _cut(indices: tuple[int, ...], networks: tuple[int, ...], moment: Moment) -> None:
    for index in indices:
        _set_deaf(moment, index, networks, True)  # noqa: FBT003


def _mend(indices: tuple[int, ...], networks: tuple[int, ...], moment: Moment) -> None:
    for index in indices:
        _set_deaf(moment, index, networks, False)  # noqa: FBT003


def _cuts() -> list[Happening]:
    every: list[Happening] = []
    for networks, name in (((0,), NETWORKS[0]), ((1,), NETWORKS[1]), ((0, 1), promise.EVERYTHING)):
        is_open = partial(_is_open, networks, BOTH)
        cut = partial(_cut, BOTH, networks)
        every.append(Happening(f"{name} cut", 1, is_open, cut, way=name))
    mend = partial(_mend, BOTH, (0, 1))
    every.append(
        Happening("the networks are mended", 0, lambda m: any(map(any, m.outside.deaf)), mend)
    )
    return every


def _one_way(index: int) -> list[Happening]:
    every: list[Happening] = []
    for networks, name in (((0,), NETWORKS[0]), ((1,), NETWORKS[1]), ((0, 1), promise.EVERYTHING)):
        is_open = partial(_is_open, networks, (index,))
        cut = partial(_cut, (index,), networks)
        text = f"{NODES[index]} hears nothing on {name}"
        every.append(Happening(text, 1, is_open, cut, way=name))
    return every


def _cables(index: int) -> list[Happening]:
    def plug(name: str, moment: Moment) -> None:
        first, second = moment.outside.unplugged
        moment.outside.unplugged = (name, second) if index == 0 else (first, name)

    def pulled(moment: Moment) -> bool:
        return bool(moment.outside.unplugged[index])

    pulls = [
        Happening(
            f"the {name} cable of {NODES[index]} is pulled",
            1,
            lambda m: not pulled(m),
            partial(plug, name),
            way=name,
        )
        for name in NETWORKS
    ]
    return [*pulls, Happening(f"the cable of {NODES[index]} is back", 0, pulled, partial(plug, ""))]


# --- Third parties --------------------------------------------------------------------------------


def _reach(moment: Moment, indices: tuple[int, ...], witnesses: int, reached: bool) -> None:  # noqa: FBT001
    rows = [list(row) for row in moment.outside.reached]
    for index in indices:
        for witness in range(witnesses):
            rows[index][witness] = reached
    moment.outside.reached = tuple(tuple(row) for row in rows)


def _witnesses(kind: Kind) -> list[Happening]:
    count = kind.shape.witnesses
    every: list[Happening] = []
    for lost in sorted({1, count // 2 + 1, count}):
        for indices, whose in ((BOTH, "both"), ((0,), NODES[0]), ((1,), NODES[1])):
            text = f"{whose} cannot reach {lost} of {count} witnesses"
            possible = partial(_all_reached, indices)
            happen = partial(_reach, indices=indices, witnesses=lost, reached=False)
            every.append(Happening(text, 1, possible, happen))
    mend = partial(_reach, indices=BOTH, witnesses=count, reached=True)
    every.append(
        Happening("the witnesses are reached", 0, lambda m: not _all_reached(BOTH, m), mend)
    )
    for slow in (True, False):
        text = "the witnesses record late" if slow else "the witnesses are quick again"
        every.append(
            Happening(text, int(slow), partial(_is_slow, not slow), partial(_set_slow, slow))
        )
    return every


def _all_reached(indices: tuple[int, ...], moment: Moment) -> bool:
    return all(all(moment.outside.reached[index]) for index in indices)


def _is_slow(slow: bool, moment: Moment) -> bool:  # noqa: FBT001
    return moment.outside.slow is slow


def _set_slow(slow: bool, moment: Moment) -> None:  # noqa: FBT001
    moment.outside.slow = slow


def _strip() -> list[Happening]:
    def put(how: str, moment: Moment) -> None:
        moment.outside.strip = how

    def is_well(moment: Moment) -> bool:
        return not moment.outside.strip

    return [
        Happening("the power strip is dead", 1, is_well, partial(put, DEAD)),
        Happening("the power strip cannot answer", 1, is_well, partial(put, MUTE)),
        Happening("the power strip is slow", 1, is_well, partial(put, SLOW)),
        Happening("the power strip is mended", 0, lambda m: not is_well(m), partial(put, "")),
    ]


# --- Operators ------------------------------------------------------------------------------------


def _commands(kind: Kind, index: int) -> list[Happening]:
    node = NODES[index]

    def on_turn(moment: Moment) -> bool:
        return moment.turn == index and moment.boxes[index].listens

    def owns(moment: Moment, *wanted: Wanted) -> bool:
        state = moment.cores[moment.boxes[index].core] if on_turn(moment) else None
        record = state.record(NAME) if state is not None else None
        return record is not None and record.owner == node and record.wanted in wanted

    def is_formed(moment: Moment) -> bool:
        return on_turn(moment) and _standing(moment, index) not in (
            Standing.HALTED,
            Standing.LEAVING,
        )

    def commanded(moment: Moment) -> None:
        moment.outside.commanded = True

    def leaves(moment: Moment) -> None:
        moment.boxes[index].leaves = True

    def may_form(moment: Moment) -> bool:
        state = moment.cores[moment.boxes[index].core] if on_turn(moment) else None
        if state is None or state.standing is Standing.HALTED:
            return state is not None
        return state.standing is Standing.LEAVING and state.stored.formed

    def up(moment: Moment) -> bool:
        return owns(moment, Wanted.UP)

    def down(moment: Moment) -> bool:
        return owns(moment, Wanted.DOWN)

    every = [
        Happening(f"{node}: clmoveapp", 1, up, commanded, Move(NAME)),
        Happening(f"{node}: clhaltapp", 1, up, commanded, Halt(NAME)),
        Happening(f"{node}: clrunapp", 0, down, commanded, Run(NAME)),
        Happening(f"{node}: clhalt, handing over", 1, is_formed, leaves, Leave(handover=True)),
        Happening(f"{node}: clform", 0, may_form, lambda _: None, Form(timeout_s=FORM_S)),
    ]
    if kind.operator_confirms:
        every.append(_confirms(index))
    return every


def _standing(moment: Moment, index: int) -> Standing:
    return moment.cores[moment.boxes[index].core].standing


def _confirms(index: int) -> Happening:
    """Return the word of an operator who looked: the peer is off, and what only it had is lost."""

    def possible(moment: Moment) -> bool:
        if moment.turn != index or not moment.boxes[index].listens:
            return False
        waits = _standing(moment, index) in (Standing.CUT, Standing.FORMING)
        return waits and not moment.boxes[other(index)].powered

    def confirm(moment: Moment) -> None:
        moment.accept_loss(index)
        moment.outside.confirmed = True

    text = f"{NODES[index]}: clconfirm peer-is-down"
    return Happening(text, 1, possible, confirm, ConfirmPeerDown())
