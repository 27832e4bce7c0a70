"""The peers' TLS connection: ordered messages while it lives, the newest state when it reopens."""

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final

from hapair.core.words.events import PeerState
from hapair.core.words.protocol import UNSAID, Speaks, as_known
from tests.sim.clockwork import Clockwork
from tests.sim.networks import Wire

BREAKS_AFTER_S: Final = (0.8, 3.0)  # Without an answer from the peer's kernel.
RETRY_S: Final = (0.1, 0.8)
DELAY_S: Final = (0.001, 0.02)

Deliver = Callable[[str, PeerState], None]  # To this node, this state.


class Tunnel:
    """One connection at a time, over any network that works.

    ``alive`` tells whether the daemon of a node can take part in opening a connection (it
    runs and is not stopped); ``newest`` returns what a daemon published last.
    """

    def __init__(
        self,
        clockwork: Clockwork,
        chance: Random,
        wires: Sequence[Wire],
        *,
        alive: Callable[[str], bool],
        newest: Callable[[str], PeerState | None],
        deliver: Deliver,
    ) -> None:
        self.clockwork = clockwork
        self.chance = chance
        self.wires = wires
        self.nodes = wires[0].nodes
        self.alive = alive
        self.newest = newest
        self.deliver = deliver
        # What the version of a node says where this one says that, and what it then speaks.
        self.says: Callable[[str, PeerState], PeerState] = lambda _, state: state
        self.speaks: Callable[[PeerState], Speaks] = lambda state: state.speaks
        self.known = dict.fromkeys(self.nodes, UNSAID)  # What each knows of what the other speaks.
        self.connection = 0  # Number of the present connection; 0: none.
        self.wire = wires[0]
        self._connections = 0
        self._last_arrival_s = dict.fromkeys(self.nodes, 0.0)
        self._held: list[tuple[str, PeerState]] = []  # Sent, waits for the network.
        self._watching = 0  # The connection that breaks soon unless its path comes back.
        self._retrying = False

    @property
    def open(self) -> bool:
        return self.connection != 0

    def send(self, sender: str, state: PeerState) -> None:
        """Send on the present connection; without one, the newest state goes out later."""
        if not self.open:
            self.try_to_open()
        elif not self.wire.two_way or self._held:
            self._held.append((sender, state))
            self.network_changed()
        else:
            self._carry(sender, state)

    def _carry(self, sender: str, state: PeerState) -> None:
        receiver = self.wire.other(sender)
        state = as_known(self.says(sender, state), self.known[sender])
        now_s = self.clockwork.now_s
        arrival_s = max(now_s + self.chance.uniform(*DELAY_S), self._last_arrival_s[receiver])
        self._last_arrival_s[receiver] = arrival_s
        arrives = partial(self._arrive, self.connection, receiver, state)
        self.clockwork.after(arrival_s - now_s, arrives)

    def _arrive(self, connection: int, receiver: str, state: PeerState) -> None:
        self.deliver(receiver, state)
        if connection == self.connection and self.alive(receiver):
            before, speaks = self.known[receiver], self.speaks(state)
            self.known[receiver] = speaks
            newest = self.newest(receiver)
            if newest is None:
                return
            said = self.says(receiver, newest)
            if as_known(said, speaks) != as_known(said, before):
                self.send(receiver, newest)

    def network_changed(self) -> None:
        """Look at the path of the connection again."""
        if not self.open:
            self.try_to_open()
        elif self.wire.two_way:
            held, self._held = self._held, []
            for sender, state in held:
                self._carry(sender, state)
        elif self._watching != self.connection:
            self._watching = self.connection
            breaks_in_s = self.chance.uniform(*BREAKS_AFTER_S)
            self.clockwork.after(breaks_in_s, partial(self._break_if_silent, self.connection))

    def _break_if_silent(self, connection: int) -> None:
        if connection == self.connection:
            self._watching = 0
            if not self.wire.two_way:
                self.close()

    def close(self) -> None:
        """End the connection, e.g. because a daemon died.

        What waits for the network is lost. What is on the wire still arrives, also when its
        sender has died meanwhile; that takes less time than opening the next connection.
        """
        self.connection = 0
        self._held.clear()
        self.try_to_open()

    def try_to_open(self) -> None:
        if not self._retrying:
            self._retrying = True
            self.clockwork.after(self.chance.uniform(*RETRY_S), self._open)

    def _open(self) -> None:
        self._retrying = False
        if self.open or not all(self.alive(node) for node in self.nodes):
            return
        working = [wire for wire in self.wires if wire.two_way]
        if not working:
            return
        self.wire = self.chance.choice(working)
        self._connections += 1
        self.connection = self._connections
        self.known = dict.fromkeys(self.nodes, UNSAID)
        for node in self.nodes:
            state = self.newest(node)
            if state is not None:
                self._carry(node, state)
