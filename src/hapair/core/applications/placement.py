"""What the tables about one application look at: whose it is, what is up, what each side has."""

from dataclasses import dataclass
from typing import Final

from hapair.core.applications import failures, items, maintenance, trials
from hapair.core.copies import doubts, replication
from hapair.core.right import hearing
from hapair.core.words.effects import Layer
from hapair.core.words.events import PeerApplication
from hapair.core.words.item import Is
from hapair.core.words.state import NodeState
from hapair.model.application import Application
from hapair.model.data import Connection, Disk
from hapair.model.maintenance import Maintenance
from hapair.model.status import Phase, Record, Standing, Wanted

CONNECTION_WAIT_S: Final = 10.0  # How long a cold start waits for its copies to be connected.


@dataclass(frozen=True, slots=True)
class View:
    """What the tables of this module look at, for one application."""

    state: NodeState
    application: Application
    record: Record | None
    peer: PeerApplication | None  # What the peer says; None when it has not spoken.

    @property
    def mine(self) -> bool:
        return self.record is not None and self.record.owner == self.state.me

    @property
    def wanted(self) -> Wanted:
        return self.record.wanted if self.record is not None else Wanted.DOWN

    @property
    def together(self) -> bool:
        return self.state.standing is Standing.TOGETHER

    @property
    def leaving(self) -> bool:
        return self.state.standing is Standing.LEAVING

    @property
    def handing_over(self) -> bool:
        leave = self.state.leave
        return self.leaving and leave is not None and leave.handover

    @property
    def agreed(self) -> bool:
        """Each side has accepted the other, also while this one is leaving."""
        theirs = self.state.peer.state
        together = theirs is not None and theirs.standing is Standing.TOGETHER
        return together and hearing.agreed(self.state)

    @property
    def stopped(self) -> bool:
        return items.is_stopped(self.state, self.application.name)

    @property
    def may_double(self) -> bool:
        """Its program does not run here yet, and no data of its own would freeze the peer's."""
        programs = items.at(self.state, self.application.name, Layer.PROGRAM)
        bare = not replication.volumes(self.state, self.application.name)
        return bare and bool(programs) and all(items.is_down(each) for _, each in programs)

    @property
    def promotable(self) -> bool:
        """Every copy is Primary here already, or current."""
        copies = items.at(self.state, self.application.name, Layer.PROMOTED)
        return all(
            item_state.known is not Is.DOWN or doubts.is_current(self.state, item.resource)
            for item, item_state in copies
        )

    @property
    def fresh(self) -> bool:
        return self.application.name in self.state.fresh

    @property
    def current(self) -> bool:
        return doubts.data_current(self.state, self.application.name)

    @property
    def peer_current(self) -> bool:
        """The peer says so, and while our copy is current, our kernel sees every write arrive."""
        if self.peer is None or not self.peer.data_current:
            return False
        return not self.current or replication.peer_complete(self.state, self.application.name)

    @property
    def joined(self) -> bool:
        """DRBD itself says at this moment that the peer's copies have every write."""
        facts = replication.volume_facts(self.state, self.application.name)
        return all(
            each is not None
            and replication.is_joined(self.state, each.resource)
            and each.connection is Connection.CONNECTED
            and each.peer_disk is Disk.UP_TO_DATE
            for each in facts
        )

    @property
    def awaits_proof(self) -> bool:
        """A copy here is connected, and will be known to be current in a moment."""
        facts = replication.volume_facts(self.state, self.application.name)
        connected = (f.resource for f in facts if f and f.resource in self.state.joined_from_s)
        return any(not replication.is_joined(self.state, each) for each in connected)

    @property
    def awaits_comparison(self) -> bool:
        """After a start the kernels will compare the copies in a moment, and know which is newer.

        What the nodes know of that may not have reached their disks.
        """
        waited_s = self.state.now_s - self.state.together_since_s
        copies = items.at(self.state, self.application.name, Layer.ATTACHED)
        soon = (s.busy or (s.known is Is.UP and self._is_apart(i.resource)) for i, s in copies)
        return self.fresh and waited_s < CONNECTION_WAIT_S and any(soon)

    def _is_apart(self, resource: str) -> bool:
        facts = self.state.facts.get(resource)
        if facts is None:
            return True  # It was attached just now.
        return facts.disk is not Disk.DISKLESS and not facts.kernel_answers

    @property
    def peer_stopped(self) -> bool:
        return self.peer is None or self.peer.phase is Phase.STOPPED

    @property
    def failed_here(self) -> bool:
        return self.record is not None and self.state.me in self.record.failed_on

    @property
    def failed_there(self) -> bool:
        return self.record is not None and self.state.peer_name in self.record.failed_on

    @property
    def worn_there(self) -> bool:
        """It failed too often on the peer a while ago, whatever became of it since."""
        return self.record is not None and failures.is_worn_there(self.state, self.record)

    @property
    def left_there(self) -> bool:
        """It was taken away from the peer because it failed there, and that is remembered."""
        entries = self.record.failures if self.record is not None else ()
        return any(each.left and each.node == self.state.peer_name for each in entries)

    @property
    def complete(self) -> bool:
        """Everything that is wanted of it is up."""
        wanted = items.ORDER[:3] if self.wanted is Wanted.DATA else items.ORDER
        name = self.application.name
        return items.all_up(self.state, name, *wanted) and items.has_mounts(self.state, name)

    @property
    def maintained(self) -> Maintenance | None:
        """What keeps this node from doing anything about it by itself."""
        return maintenance.holds(self.state, self.application.name)

    @property
    def ails(self) -> bool:
        """It is up, and comes down because of what its monitors found."""
        health = self.state.health.get(self.application.name)
        return health is not None and health.stops is not None

    @property
    def leased(self) -> bool:
        """The silent peer may still run it, and no frozen write would keep it from that."""
        until_s = self.state.lease_until_s
        ends = self.state.now_s >= until_s and not hearing.peer_lingers(self.state)
        return self.application.name in self.state.leased and not ends

    @property
    def moving(self) -> bool:
        return self.application.name in self.state.moving

    @property
    def preferred_elsewhere(self) -> bool:
        return self.application.preferred != self.state.me


def view(state: NodeState, application: Application) -> View:
    theirs = state.peer.state
    peer = theirs.by_name.get(application.name) if theirs is not None else None
    return View(state, application, state.record(application.name), peer)


def peer_can(v: View) -> bool:
    """Tell whether the peer could try to start it; what was written here may be missing there.

    Who cannot store cannot even take note that it belongs to it.
    """
    able = v.agreed and not trials.takes_nothing(v.state)
    able = able and maintenance.holds_there(v.state, v.application.name) is None
    return able and v.peer_current and v.peer_stopped


def peer_has_all(v: View) -> bool:
    """Tell whether it did not fail on the peer, which has every write that was made here (R2)."""
    able = peer_can(v) and not v.failed_there and not v.worn_there and v.joined
    return able and not apart_there(v)


def apart_there(v: View) -> str:
    """Return what belongs to the peer, is wanted, and must not be on one node with it."""
    for name in v.state.built.dependencies.apart.get(v.application.name, ()):
        record = v.state.record(name)
        if record is not None and record.owner != v.state.me and record.wanted is not Wanted.DOWN:
            return name
    return ""


def is_lost(v: View) -> bool:
    """Tell whether it belongs to the absent peer and cannot be taken over: no current copy."""
    return v.record is not None and not v.mine and v.wanted is not Wanted.DOWN and not v.current
