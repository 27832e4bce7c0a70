"""clrestore: put both nodes back to an archived state, as a new generation."""

import asyncio
from dataclasses import replace
from pathlib import Path

from hapair.config import built_json
from hapair.core.plan.situation import Side
from hapair.model.built import Built
from hapair.model.node_facts import NodeFacts, ScanRequest
from hapair.model.problem import Problem
from hapair.runtime.building.archive import Archive, archive_name_now
from hapair.runtime.building.build import BUILT_CLCONF, built_seen, side_of
from hapair.runtime.building.change import Activated, Change, Parts, Say, activate, settle
from hapair.runtime.building.files import NewFile, mode_for, to_text
from hapair.runtime.building.seats import NoScan, Seat
from hapair.runtime.building.steps import Step, StepKind
from hapair.runtime.places import Places


class Restorer:
    """The caller holds the local build lock. Each node restores from its own archive."""

    def __init__(self, archive: Archive, local: Seat, remote: Seat, say: Say) -> None:
        self._archive = archive
        self._local = local
        self._remote = remote
        self._say = say

    async def sides(self) -> tuple[Side, Side] | Problem:
        """Look at both nodes; what an interrupted build left behind is settled first."""
        self._say(f"looking at {self._local.node} and {self._remote.node}")
        found = await self._scan()
        if isinstance(found, Problem):
            return found
        leftovers = {side.node: side.facts.configuration.leftovers for side in found}
        if any(leftovers.values()):
            await settle(leftovers, self._local, self._remote, self._say)
            return await self._scan()
        return found

    async def _scan(self) -> tuple[Side, Side] | Problem:
        seats = (self._local, self._remote)
        facts = await asyncio.gather(*(seat.scan(ScanRequest()) for seat in seats))
        sides = []
        for seat, found in zip(seats, facts, strict=True):
            match found:
                case NoScan(why, mend):
                    return Problem(seat.node, "scan", why, mend)
                case NodeFacts():
                    sides.append(side_of(seat.node, found))
        return sides[0], sides[1]

    async def refusals(self, sides: tuple[Side, Side]) -> tuple[Problem, ...]:
        """Say why nothing may be restored now: a formed cluster, or no such archive there."""
        problems = [
            Problem(
                side.node,
                "formed cluster",
                "the cluster is formed; its daemons rely on the present configuration",
                "clhalt, which works without clconf.xml too; then try again",
            )
            for side in sides
            if side.formed
        ]
        problems += [
            Problem(
                side.node,
                "clbuild",
                "another clbuild, clbuildapp or clrestore works on this node now",
                "wait until it has ended, then try again",
            )
            for side in sides
            if side.facts.building
        ]
        step = Step(StepKind.READ_ARCHIVE, self._remote.node, restore=self._archive.name)
        answer = await self._remote.perform(step)
        if answer.error:
            what = f"{self._archive.name} cannot be used there: {answer.error}"
            problems.append(Problem(self._remote.node, "archive", what, answer.mend))
        return tuple(problems)

    async def carry_out(self, sides: tuple[Side, Side], built: Built) -> Built:
        """Restore on both nodes or on neither; return what is committed then."""
        newest = max(side.generation for side in sides)
        # New numbers, because nodes believe the newest generation, and a secret that was given up
        # may be known to somebody; the rest of the content is the old one.
        numbers = [side.built.secret_number for side in sides if side.built is not None]
        restored = replace(
            built,
            generation=max(newest, built.generation) + 1,
            secret_number=max(built.secret_number, *numbers, 0),
        )
        change = Change(self._local, self._remote, restored.generation, self._say)
        archive = archive_name_now(newest)
        await change.carry_through(
            self._parts(sides[0], restored, archive), self._parts(sides[1], restored, archive)
        )
        return restored

    def _parts(self, side: Side, built: Built, archive: str) -> Parts:
        step = Step(StepKind.BEGIN, side.node, built.generation, built.cluster.name)
        text = to_text(built_json.dumps(built))
        files = [NewFile("etc/cluster/built/built.json", text, mode_for(built.cluster))]
        # The archived clconf.xml may have been edited already: the text that was built counts.
        files += [
            replace(file, path="etc/cluster/clconf.xml")
            for file in self._archive.files
            if file.path == BUILT_CLCONF
        ]
        stage = replace(
            step,
            kind=StepKind.STAGE,
            built_seen=built_seen(side),
            files=tuple(files),
            archive=archive,
            restore=self._archive.name,
        )
        return Parts(step, lambda _own, _peer: stage)

    async def activate(self, sides: tuple[Side, Side], built: Built) -> tuple[Activated, ...]:
        self._say("telling the daemons")
        enable = [side.node for side in sides if not side.facts.daemon.enabled]
        return await activate((self._local, self._remote), built.generation, enable)


def archive_file(places: Places, name: str) -> Path:
    """Return the archive that was named: by a path, or by its name in /cmbackup."""
    return Path(name) if "/" in name else places.archives / name
