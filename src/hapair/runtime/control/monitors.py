"""What lemsctl asks and changes: the monitors of an application, as they are in force."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Final

from hapair.config.complaints import meant
from hapair.config.kinds import Wrong
from hapair.config.one_monitor import read_monitor
from hapair.model.application import Application
from hapair.model.monitor import (
    MONITORS_MAX,
    CheckProbe,
    FileSystemProbe,
    HttpProbe,
    LogProbe,
    OcfProbe,
    Probe,
    ProcessProbe,
    ResourcesProbe,
    SqlProbe,
    TcpProbe,
    UnitProbe,
)
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.lems.changes import (
    Added,
    Changes,
    Halted,
    Origin,
    Watchable,
    in_force,
    number_in_force,
    written,
)
from hapair.runtime.lems.kept import Kept
from hapair.runtime.lems.lookout import (
    CHECK_GRACE_S,
    HISTORY_MAX,
    MONITOR,
    Lookout,
    Post,
    Turned,
)
from hapair.runtime.node.node import Node
from hapair.runtime.verbs import Call, Handler, Rights, Verb, Verbs

PEER_S: Final = 2.0
DIGITS: Final = 3
EVENTS_MAX: Final = 2000
HALT: Final = "halt"
RESUME: Final = "resume"
REMOVE: Final = "remove"
ADD: Final = "add"
KINDS: Final[dict[type[Probe], str]] = {
    FileSystemProbe: "filesystem",
    ProcessProbe: "process",
    TcpProbe: "tcp",
    HttpProbe: "http",
    CheckProbe: "check",
    UnitProbe: "unit",
    OcfProbe: "ocf",
    LogProbe: "log",
    ResourcesProbe: "resources",
    SqlProbe: "sql",
}


@dataclass(slots=True)
class MonitorCommands:
    """The verbs. ``node`` returns the running node or raises RpcError saying why there is none."""

    node: Callable[[], Node]
    lookout: Lookout
    kept: Kept

    def verbs(self) -> Verbs:
        return {
            "monitors": Verb(self.monitors, Rights.READ),
            "monitor-change": Verb(self.change),
            "monitor-check": Verb(self.check),
        }

    def for_peer(self) -> dict[str, Handler]:
        return {"monitors": self.monitors, "monitor-check": self.check}

    def of_status(self, name: str) -> JsonObject:
        """Return what clstat shows of the monitors of an application on this node."""
        if name not in self.node().built.by_name:
            return {}
        application = self._application(name)
        changes, post = self.kept.of(name), self.lookout.posts.get(name)
        told: JsonObject = {"changed": list(differences(application, changes))}
        if post is None or not post.wanted:
            return told
        return told | {
            "watched": {
                "run": post.run,
                "why": post.told_why,
                "answers": not post.awaited,
                "restarts": application.monitors.restarts,
            },
            "monitors": self._objects(application, changes, post),
        }

    # Reading.

    async def monitors(self, call: Call) -> JsonObject:
        """Tell all of the monitors; the node that runs the application tells what they find."""
        application = self._application(call.text("application"))
        if (answer := await self._by_owner("monitors", call, application.name, PEER_S)) is not None:
            return answer
        name = application.name
        changes, post = self.kept.of(name), self.lookout.posts.get(name)
        return {
            "application": name,
            "node": self.node().identity.me,
            "watched": post is not None and post.wanted and post.line is not None,
            "why": post.told_why if post is not None else "",
            "restarts": application.monitors.restarts,
            "period_s": application.monitors.period_s,
            "monitors": self._objects(application, changes, post),
            "changed": list(differences(application, changes)),
            "history": self._history(name, post),
        }

    def _history(self, name: str, post: Post | None) -> list[JsonObject]:
        """Return what its monitors said; what an earlier daemon heard is in the node's history."""
        here = [asdict(each) for each in post.history] if post is not None else []
        began_wall_s = post.history[0].wall_s if post is not None and post.history else inf
        lines = self.lookout.journal.since(0, EVENTS_MAX)
        told = (
            _turned(line)
            for line in lines
            if line["name"] == MONITOR and line["application"] == name
        )
        former = [asdict(each) for each in told if each.wall_s < began_wall_s]
        return [*former, *here][-HISTORY_MAX:]

    async def check(self, call: Call) -> JsonObject:
        """Let one monitor be asked now, where the application runs."""
        application = self._application(call.text("application"))
        name = application.name
        found = _find(application, self.kept.of(name), call.text("monitor"))
        limit_s = found.monitor.timeout_s + 2 * CHECK_GRACE_S
        if (answer := await self._by_owner("monitor-check", call, name, limit_s)) is not None:
            return answer
        checked = await self.lookout.check(name, found.monitor.name, found.monitor.timeout_s)
        return {
            "application": name,
            "node": self.node().identity.me,
            "monitor": found.monitor.name,
            "state": checked.state,
            "text": checked.text,
        }

    async def _by_owner(
        self, verb: str, call: Call, name: str, limit_s: float
    ) -> JsonObject | None:
        """Let the peer answer if it runs the application; None: this node does."""
        node = self.node()
        record = node.state.record(name)
        elsewhere = record is not None and record.owner == node.peer.name
        if call.from_peer or not elsewhere or not node.peer.connected:
            return None
        return await node.peer.request(verb, call.args, timeout_s=limit_s)

    # Changing.

    async def change(self, call: Call) -> JsonObject:
        """Handle {application, do, monitor}: it holds on both nodes, and is kept."""
        application = self._application(call.text("application"))

        def how(former: Changes) -> tuple[Changes, str]:
            new, text = self._changed(application, former, call)
            _check_number(application, former, new)
            return new, text

        text, both = await self.kept.change(application.name, how)
        peer = self.node().peer.name
        return {
            "application": application.name,
            "text": text if both else f"{text}; {peer} is told as soon as it can be reached",
            "changed": list(differences(application, self.kept.of(application.name))),
            "both": both,
        }

    def _changed(
        self, application: Application, former: Changes, call: Call
    ) -> tuple[Changes, str]:
        do = call.text("do")
        if do == ADD:
            return self._added(application, former, call)
        name = call.text("monitor")
        if do == RESUME:
            return self._resumed(application, former, name)
        found = _find(application, former, name)
        if do == HALT:
            if found.halted_wall_s is not None:
                return former, f"{name} is halted already"
            halted = Halted(name, round(self.kept.clock.wall_s(), DIGITS))
            text = (
                f"{name} of {application.name} is halted: it is not asked, and counts for nothing"
            )
            return replace(former, halted=(*former.halted, halted)), text
        if do == REMOVE:
            return self._removed(application, former, found)
        raise RpcError(
            f'"{do}" is nothing that can be done to a monitor',
            "daemon and commands may be of different versions: systemctl restart hapaird",
            exit_code=ExitCode.USAGE,
        )

    def _resumed(self, application: Application, former: Changes, name: str) -> tuple[Changes, str]:
        """Watch it again, whether it was halted or removed."""
        if name in former.removed:
            return former.without(name), f"{name} of {application.name} is back"
        found = _find(application, former, name)
        if found.halted_wall_s is None:
            return former, f"{name} is not halted"
        halted = tuple(each for each in former.halted if each.name != name)
        return replace(former, halted=halted), f"{name} of {application.name} is watched again"

    def _removed(
        self, application: Application, former: Changes, found: Watchable
    ) -> tuple[Changes, str]:
        name = found.monitor.name
        if found.origin is Origin.ALWAYS:
            raise RpcError(
                f"{name} is always there",
                f"to have it say nothing for a while: lemsctl {application.name} halt {name}",
            )
        new = former.without(name)
        if found.origin is Origin.ADDED:  # What stood in its place is back.
            return new, f"{name} of {application.name}, which was added, is removed"
        return replace(
            new, removed=(*new.removed, name)
        ), f"{name} of {application.name} is removed"

    def _added(self, application: Application, former: Changes, call: Call) -> tuple[Changes, str]:
        kind, given = call.text("kind"), call.args.get("keys")
        keys = given if isinstance(given, dict) else {}
        written_ = {str(key): str(value) for key, value in keys.items()}
        found = read_monitor(kind, written_, application)
        if isinstance(found, Wrong):
            raise RpcError(found.what, found.mend, exit_code=ExitCode.USAGE)
        name = found.name
        for each in in_force(application, former):
            if each.monitor.name == name and each.origin is not Origin.ALWAYS:
                raise RpcError(
                    f"{application.name} has a monitor {name} already",
                    f"name it otherwise: name=..., or first: lemsctl {application.name} remove"
                    f" {name}",
                    exit_code=ExitCode.USAGE,
                )
        added = Added(found, kind, tuple(written_.items()))
        others = former.without(name)
        new = replace(others, added=(*others.added, added))
        return new, f"{name} of {application.name} is watched from now on"

    def _application(self, name: str) -> Application:
        by_name = self.node().built.by_name
        if name not in by_name:
            known = ", ".join(sorted(by_name)) or "none is built"
            mend = f"applications: {known}"
            raise RpcError(f"there is no application {name}", mend, exit_code=ExitCode.USAGE)
        return by_name[name].application

    def _objects(
        self, application: Application, changes: Changes, post: Post | None
    ) -> list[JsonObject]:
        now_wall_s = self.lookout.clock.wall_s()
        return [
            _object(each, post, now_wall_s) | {"changed": _word(application, each)}
            for each in in_force(application, changes)
        ]


def _check_number(application: Application, former: Changes, new: Changes) -> None:
    """Refuse what has too many, but nothing that has no more than before."""
    number, before = number_in_force(application, new), number_in_force(application, former)
    if number > max(MONITORS_MAX, before):
        raise RpcError(
            f"{application.name} has {before} monitors, and at most {MONITORS_MAX} are possible",
            f"first remove one: lemsctl {application.name} remove MONITOR",
        )


def _find(application: Application, changes: Changes, name: str) -> Watchable:
    each = in_force(application, changes)
    for found in each:
        if found.monitor.name == name:
            return found
    known = tuple(found.monitor.name for found in each)
    raise RpcError(
        f"{application.name} has no monitor {name}",
        f"{meant(name, known)} its monitors: {', '.join(known) or 'none'}".lstrip(),
        exit_code=ExitCode.USAGE,
    )


def _object(watchable: Watchable, post: Post | None, now_wall_s: float) -> JsonObject:
    monitor = watchable.monitor
    state = post.states.get(monitor.name) if post is not None else None
    told: JsonObject = {"state": "waiting", "text": ""}
    if state is not None:
        since_s = now_wall_s - state.since_wall_s if state.since_wall_s else 0.0
        told = asdict(state) | {
            "since_s": round(max(since_s, 0.0), DIGITS),
            "perf": dict(state.perf),
        }
    if watchable.halted_wall_s is not None:
        told["state"] = "halted"
    return told | {
        "name": monitor.name,
        "kind": KINDS[type(monitor.probe)],
        "interval_s": monitor.interval_s,
        "origin": watchable.origin.value,
        "halted_wall_s": watchable.halted_wall_s,
    }


def _turned(line: JsonObject) -> Turned:
    """Return what a line of the history says of a monitor."""
    monitor, _, said = str(line["text"]).partition(": ")
    state, _, text = said.partition(": ")
    wall_s = line["wall_s"]
    return Turned(wall_s if isinstance(wall_s, float) else 0.0, monitor, state, text)


def _word(application: Application, watchable: Watchable) -> str:
    """Say in one word how a monitor differs from appconf.xml; empty: it does not."""
    if watchable.halted_wall_s is not None:
        return "halted"
    if watchable.origin is not Origin.ADDED:
        return ""
    names = {monitor.name for monitor, _ in written(application)}
    return "replaced" if watchable.monitor.name in names else "added"


def differences(application: Application, changes: Changes) -> tuple[str, ...]:
    """Say how what is in force differs from appconf.xml, a line for each monitor."""
    told = [
        f"{_word(application, each)} {each.monitor.name}"
        for each in in_force(application, changes)
        if _word(application, each)
    ]
    names = {monitor.name for monitor, _ in written(application)}
    told += [f"removed {name}" for name in changes.removed if name in names]
    return (*told, *(f"added {each.name} (by a newer version)" for each in changes.strange))
