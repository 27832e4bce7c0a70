"""clbuild from the first look to the started daemons."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from hapair.config import built_json
from hapair.config.clconf import ORDER, read_clconf
from hapair.config.codec import DamagedError
from hapair.config.fingerprint import fingerprint
from hapair.config.together import check_built, check_order
from hapair.core.plan.cluster import NodeWork, Plan, plan
from hapair.core.plan.cluster_checks import Checked, problems_of, run_checks
from hapair.core.plan.situation import CLCONF, Side, Situation, scan_request
from hapair.model.built import Built
from hapair.model.cluster import Cluster
from hapair.model.leftover import Leftover
from hapair.model.node_facts import NodeFacts
from hapair.model.problem import Problem
from hapair.runtime.building import hooks, keys
from hapair.runtime.building.archive import archive_name_now
from hapair.runtime.building.change import Activated, Change, Parts, Say, activate, settle
from hapair.runtime.building.files import PRIVATE_MODE, NewFile, digest, mode_for, to_bytes, to_text
from hapair.runtime.building.seats import NoScan, Seat
from hapair.runtime.building.steps import Answer, Step, StepKind

BUILT_CLCONF: Final = "etc/cluster/built/clconf.xml"
INVALID: Final = "invalid"  # The fingerprint of a clconf.xml that cannot be read.


@dataclass(frozen=True, slots=True)
class Wanted:
    """The clconf.xml of this node, as it was read."""

    cluster: Cluster
    text: bytes
    me: str
    places: Mapping[str, str] = field(default_factory=dict)  # See Reading.

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.cluster)


@dataclass(frozen=True, slots=True)
class Survey:
    situation: Situation
    checked: tuple[Checked, ...]
    plan: Plan
    together: tuple[Problem, ...] = ()  # What contradicts the applications.

    @property
    def problems(self) -> tuple[Problem, ...]:
        return (*self.together, *problems_of(self.checked), *self.plan.problems)

    @property
    def refused(self) -> bool:
        return any(not problem.warning for problem in self.problems)

    @property
    def leftovers(self) -> dict[str, tuple[Leftover, ...]]:
        return {side.node: side.facts.configuration.leftovers for side in self.situation.sides}


@dataclass(frozen=True, slots=True)
class Fresh:
    """What is decided once for both nodes."""

    cluster_key: str  # Used when neither node has one to keep.
    archive: str  # Empty when there is nothing to archive yet.


class Builder:
    """Looks at both nodes and changes both or neither. The caller holds the local build lock."""

    def __init__(self, wanted: Wanted, local: Seat, remote: Seat, say: Say) -> None:
        self._wanted = wanted
        self._local = local
        self._remote = remote
        self._say = say

    async def survey(self, *, force: bool, rotate_secret: bool = False) -> Survey | Problem:
        """Scan both nodes at once and decide; a Problem when one could not be scanned."""
        cluster = self._wanted.cluster
        request = replace(scan_request(cluster), hooks=cluster.alerts.hooks)
        self._say(f"scanning {self._local.node} and {self._remote.node}")
        found = await asyncio.gather(self._local.scan(request), self._remote.scan(request))
        sides = []
        for seat, facts in zip((self._local, self._remote), found, strict=True):
            match facts:
                case NoScan(why, mend):
                    return Problem(seat.node, "scan", why, mend)
                case NodeFacts():
                    sides.append(side_of(seat.node, facts))
        first, second = sorted(sides, key=lambda side: cluster.nodes.index(side.node))
        situation = Situation(
            cluster,
            self._wanted.fingerprint,
            self._wanted.me,
            (first, second),
            force,
            rotate_secret,
        )
        together = self._check_together(situation)
        checked = (*run_checks(situation), hooks.checked(situation, self._wanted.places))
        return Survey(situation, checked, plan(situation), together)

    def _check_together(self, situation: Situation) -> tuple[Problem, ...]:
        built = situation.previous.applications if situation.previous else ()
        written = [
            file for side in situation.sides for file in side.facts.configuration.applications
        ]
        known = {each.application.name for each in built} | {file.name for file in written}
        place = self._wanted.places.get(ORDER, CLCONF)
        return (
            *check_order(self._wanted.cluster, tuple(sorted(known)), place),
            *check_built(self._wanted.cluster, tuple(each.application for each in built), CLCONF),
        )

    async def settle(self, survey: Survey) -> None:
        """Finish or undo what an interrupted build left; survey again afterwards."""
        await settle(survey.leftovers, self._local, self._remote, self._say)

    async def carry_out(self, survey: Survey) -> None:
        """Change both nodes as planned, or raise ChangeError."""
        decided = survey.plan
        change = Change(self._local, self._remote, decided.built.generation, self._say)
        previous = survey.situation.previous
        archive = archive_name_now(previous.generation) if previous else ""
        if archive:
            self._say(f"the previous state is kept as /cmbackup/{archive}")
        fresh = Fresh(keys.new_cluster_key(), archive)
        parts = {work.node: self._parts(survey, work, fresh) for work in decided.work}
        await change.carry_through(parts[self._local.node], parts[self._remote.node])

    def _parts(self, survey: Survey, work: NodeWork, fresh: Fresh) -> Parts:
        decided = survey.plan
        generation, cluster = decided.built.generation, decided.built.cluster.name
        begin = Step(
            StepKind.BEGIN,
            work.node,
            generation,
            cluster,
            new_key_pair=work.new_key_pair,
            load_drbd=True,
            give_cluster_key=work.node == decided.cluster_key_from,
        )

        def stage(own: Answer, peer: Answer) -> Step:
            cluster_key = own.cluster_key or peer.cluster_key or fresh.cluster_key
            certificate = NewFile("etc/cluster/keys/peer.crt", peer.certificate)
            return Step(
                StepKind.STAGE,
                work.node,
                generation,
                cluster,
                built_seen=built_seen(survey.situation.side(work.node)),
                files=(certificate, *self._files(survey, work, cluster_key)),
                new_key_pair=work.new_key_pair,
                lvm_filter=work.lvm_filter,
                archive=fresh.archive,
            )

        return Parts(begin, stage)

    def _files(self, survey: Survey, work: NodeWork, cluster_key: str) -> tuple[NewFile, ...]:
        built = to_text(built_json.dumps(survey.plan.built))
        text, mode = to_text(self._wanted.text), mode_for(self._wanted.cluster)
        files = [
            NewFile(keys.CLUSTER_KEY, cluster_key, PRIVATE_MODE),
            NewFile("etc/cluster/built/built.json", built, mode),
            # clrestore needs the text that was built: somebody may be editing the original.
            NewFile(BUILT_CLCONF, text, mode),
        ]
        if survey.situation.side(work.node).fingerprint != survey.situation.fingerprint:
            files.append(NewFile("etc/cluster/clconf.xml", text, mode))
        files += [
            NewFile(f"etc/cluster/{file.name}/appconf.xml", file.text) for file in work.applications
        ]
        return tuple(files)

    async def activate(self, survey: Survey) -> tuple[Activated, ...]:
        """Let the daemons take over what was committed; start those that do not run."""
        self._say("telling the daemons")
        enable = [side.node for side in survey.situation.sides if not side.facts.daemon.enabled]
        generation = survey.plan.built.generation
        return await activate((self._local, self._remote), generation, enable)


def side_of(node: str, facts: NodeFacts) -> Side:
    """Read what is committed and what is wanted there."""
    built, damage = read_built(facts.configuration.built)
    return Side(node, facts, built, fingerprint_of(facts.configuration.clconf), damage)


def built_seen(side: Side) -> str:
    """Return the digest of the built.json that was scanned, also when there was none."""
    return digest(to_bytes(side.facts.configuration.built))


def read_built(text: str) -> tuple[Built | None, str]:
    """Return what is committed, or why that cannot be read; neither when there is nothing."""
    if not text:
        return None, ""
    try:
        return built_json.loads(to_bytes(text)), ""
    except DamagedError as error:
        return None, str(error)


def fingerprint_of(clconf: str) -> str:
    if not clconf:
        return ""
    cluster = read_clconf(to_bytes(clconf), file="clconf.xml")
    return INVALID if isinstance(cluster, tuple) else fingerprint(cluster)
