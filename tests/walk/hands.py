"""What the hands of a node do when the core asks: at once, unless something is in the way."""

from typing import Final

from hapair.core.words.effects import Act, Do, Layer, Look
from hapair.model.data import Role
from hapair.model.monitor import Trouble
from hapair.model.outcome import Done, HeldByPeer, Outcome, Refused, Unknown
from tests.sim.fence import NEEDS_FENCE
from tests.sim.hands import FAILED_LOOK
from tests.sim.settings import NODES
from tests.walk import rules
from tests.walk.moment import Moment
from tests.walk.place import other

PUBLIC: Final = 0
HANGS: Final = "hangs"
KERNEL: Final = "kernel"
HANDLER: Final = "handler"
HALF: Final = "half"
# What may be made to go wrong, and how.
TROUBLES: Final[tuple[tuple[Do, str], ...]] = (
    (Do.STOP_PROGRAM, HANGS),
    (Do.START_PROGRAM, HALF),
    (Do.UNMOUNT, "refused"),
    (Do.PROMOTE, "refused"),
    (Do.DEMOTE, "refused"),  # Something else holds the device.
)

# What the daemon cannot see meanwhile.
BLIND: Final = "looks tell nothing"
STREAMLESS: Final = "the kernel's words are not read"


def trouble_word(do: Do, how: str) -> str:
    return f"{do}: {how}"


def kernel_waits(moment: Moment, index: int, do: Do) -> bool:
    """Tell whether the kernel waits for the peer that it believes connected."""
    if do not in (Do.PROMOTE, Do.UNMOUNT) or moment.copies is None:
        return False
    side = moment.side(index)
    if do is Do.UNMOUNT:
        return bool(side.pending) and not side.suspended
    return moment.is_unaware(index)


def act(moment: Moment, index: int, asked: Act) -> Outcome | str:
    """Do it; a word says why its end has to wait."""
    box = moment.boxes[index]
    if box.trouble.startswith(f"{asked.do}: "):
        return _fail(moment, index, asked)
    if kernel_waits(moment, index, asked.do):
        return KERNEL
    outcome = do(moment, index, asked)
    return HANDLER if outcome is NEEDS_FENCE else outcome


def _fail(moment: Moment, index: int, asked: Act) -> Outcome | str:
    box = moment.boxes[index]
    if asked.do is Do.START_PROGRAM:
        box.program = None
        return Unknown("it failed on purpose and left something behind")
    if asked.do is Do.STOP_PROGRAM:
        box.program = None if box.program else box.program
        return HANGS
    return Refused("it failed on purpose")


def do(moment: Moment, index: int, asked: Act) -> Outcome:
    """Do it in the world, now, if the world allows it."""
    box = moment.boxes[index]
    match asked.do:
        case Do.MOUNT:
            return _mount(moment, index)
        case Do.UNMOUNT:
            return _unmount(moment, index)
        case Do.ADD_ADDRESSES | Do.RESTORE_ADDRESSES:
            return _add_addresses(moment, index, despite_peer=asked.despite_peer)
        case Do.REMOVE_ADDRESSES:
            box.address = False
        case Do.ANNOUNCE_ADDRESSES:
            pass
        case Do.START_PROGRAM:
            if moment.copies is not None and not box.mounted:
                return Refused("the data is not there")
            box.program = True
            box.found = box.found if box.found == Trouble.DATA else ""
        case Do.STOP_PROGRAM | Do.KILL_PROGRAM | Do.END_HOLDERS:
            box.program = False
        case _:
            return _replication(moment, index, asked.do)
    return Done()


def _mount(moment: Moment, index: int) -> Outcome:
    assert moment.copies is not None
    if moment.side(index).role is not Role.PRIMARY:
        return Refused("the device is not Primary")
    if moment.copies.resource.visible(NODES[index]) is None:
        return Refused("input/output error")
    moment.boxes[index].mounted = True
    return Done()


def _unmount(moment: Moment, index: int) -> Outcome:
    box = moment.boxes[index]
    if box.mounted and (box.program is not False or moment.side(index).suspended):
        return Refused("target is busy")
    box.mounted = False
    return Done()


def _add_addresses(moment: Moment, index: int, *, despite_peer: bool) -> Outcome:
    peer = moment.boxes[other(index)]
    if peer.runs and peer.address and moment.two_way(PUBLIC) and not despite_peer:
        return HeldByPeer("a card of the peer has that address")
    moment.boxes[index].address = True
    return Done()


def _replication(moment: Moment, index: int, asked: Do) -> Outcome:
    assert moment.copies is not None
    resource, node = moment.copies.resource, NODES[index]
    held = moment.boxes[index].mounted
    if asked in (Do.TAKE_DOWN, Do.DEMOTE) and held:
        return Refused("the device is held open")
    outcome: Outcome = Done()
    match asked:
        case Do.BRING_UP:
            outcome = resource.bring_up(node)
        case Do.TAKE_DOWN:
            outcome = resource.take_down(node)
        case Do.DEMOTE:
            outcome = resource.demote(node)
        case Do.PROMOTE:
            outcome = resource.promote(node)
            check_promoted(moment, index, outcome)
        case Do.DETACH:
            outcome = resource.detach(node)
            if resource.side(node).suspended:
                resource.resume(node)
        case Do.RESUME if resource.side(node).suspended:
            moment.let_go(index, resource.resume(node))
        case _:
            pass
    return outcome


def check_promoted(moment: Moment, index: int, outcome: Outcome) -> None:
    if isinstance(outcome, Done):
        rules.check_promotion(moment, index)


def look(moment: Moment, index: int, asked: Look) -> tuple[bool | None, str]:
    """Return what a look tells: up, down or in part, and why it tells nothing."""
    if moment.boxes[index].trouble == BLIND and asked.layer in FAILED_LOOK:
        return FAILED_LOOK[asked.layer], "no answer in time"
    return _seen(moment, index, asked), ""


def _seen(moment: Moment, index: int, asked: Look) -> bool | None:
    box = moment.boxes[index]
    match asked.layer:
        case Layer.MOUNTED:
            return box.mounted
        case Layer.ADDRESSED:
            return box.address
        case Layer.PROGRAM:
            return box.program
        case Layer.ATTACHED | Layer.PROMOTED:
            side = moment.side(index)
            primary = side.role is Role.PRIMARY
            return side.configured and (primary or asked.layer is Layer.ATTACHED)
