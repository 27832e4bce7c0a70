"""The port ``Witnesses``: one asker, three kinds of witness."""

import asyncio
from typing import Final, Protocol

from hapair.adapters.witness.clwitness import ClwitnessClient, WitnessFiles
from hapair.adapters.witness.etcd import EtcdClient
from hapair.adapters.witness.file import FileClient
from hapair.adapters.witness.words import EPOCH_MAX, Asker, NoAnswer, unreachable
from hapair.model.cluster import Witness, WitnessKind
from hapair.model.outcome import Done, Outcome
from hapair.model.witness import WitnessAnswer

# UnicodeError comes from a name that the domain name system cannot have.
FAILURES: Final = (NoAnswer, OSError, UnicodeError)


class _Client(Protocol):
    """One witness. What fails is NoAnswer or an OSError; a time-out is one of those."""

    async def grant(self, asker: Asker, epoch: int, *, timeout_s: float) -> WitnessAnswer: ...
    async def look(self, asker: Asker, *, timeout_s: float) -> WitnessAnswer: ...
    def close(self) -> None: ...


class WitnessClients:
    """Asks for one node of one cluster; keeps what is open to each witness open."""

    def __init__(self, cluster_name: str, node: str, files: WitnessFiles) -> None:
        self._asker = Asker(cluster_name, node)
        self._files = files
        self._clients: dict[Witness, _Client] = {}

    async def grant(self, witness: Witness, epoch: int, *, timeout_s: float) -> WitnessAnswer:
        if not 0 < epoch <= EPOCH_MAX:
            return unreachable(f"epoch {epoch} cannot be recorded; epochs begin with 1")
        try:
            async with asyncio.timeout(timeout_s):
                client = self._client(witness)
                return await client.grant(self._asker, epoch, timeout_s=timeout_s)
        except FAILURES as error:
            return unreachable(_why(witness, error, timeout_s))

    async def look(self, witness: Witness, *, timeout_s: float) -> WitnessAnswer:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._client(witness).look(self._asker, timeout_s=timeout_s)
        except FAILURES as error:
            return unreachable(_why(witness, error, timeout_s))

    async def prepare(self, witness: Witness, *, timeout_s: float) -> Outcome:
        """Make the place for this cluster's record where that is ours to make: kind ``file``.

        To be called on one node only: the other one's ``look`` then proves that both see the
        same folder. Done also when it is there already.
        """
        client = self._client(witness)
        if isinstance(client, FileClient):
            return await client.prepare(self._asker, timeout_s=timeout_s)
        return Done()

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _client(self, witness: Witness) -> _Client:
        if witness not in self._clients:
            self._clients[witness] = self._made(witness)
        return self._clients[witness]

    def _made(self, witness: Witness) -> _Client:
        match witness.kind:
            case WitnessKind.CLWITNESS:
                return ClwitnessClient(witness, self._files)
            case WitnessKind.ETCD:
                return EtcdClient(witness, self._files)
            case WitnessKind.FILE:
                return FileClient(witness)


def _why(witness: Witness, error: Exception, timeout_s: float) -> str:
    """Name the witness and what went wrong there."""
    match error:
        case NoAnswer():
            text = str(error)
        case TimeoutError():
            text = f"no answer within {timeout_s:g} s"
        case OSError():
            text = error.strerror or str(error) or type(error).__name__
        case _:
            text = str(error)
    return f"witness {witness.kind} at {witness.at}: {text}"
