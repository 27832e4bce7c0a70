"""Is it the cluster alone that starts the unit of an application, and who does so after it?"""

import re
from collections.abc import Iterator
from typing import Final

from hapair.model.unit import ProgramUnit, Starter

# A unit may be enabled in these words; a script of System V is "generated" in any case.
ENABLED: Final = ("enabled", "generated")
# By a link in /run: that of a generator comes again at each boot, whatever is disabled.
ENABLED_ANEW: Final = "enabled-runtime"
# What enabled units become when they are disabled; others have no part that could be enabled.
ENABLED_AGAIN: Final = ("disabled", "generated")
POSTGRESQL: Final = re.compile(r"postgresql@([^-]+)-(.+)\.service")
WHEN: Final = {
    "socket": "as soon as somebody connects",
    "timer": "when its time comes",
    "path": "when a file changes",
    "automount": "as soon as somebody looks at its folder",
}
QUADLETS: Final = (".container", ".kube", ".pod")  # Of those a service comes into being.
Objection = tuple[str, str]  # What is so, and how to mend it.


def objections(asked: str, unit: ProgramUnit, *, runs_here: bool) -> Iterator[Objection]:
    """Say what would start a unit beside the cluster, and when it already runs so.

    ``asked`` is its name in appconf.xml. Where the cluster runs it, no mend stops it.
    """
    name = unit.name
    if asked != name:
        yield (
            f"{asked} is another name of {name}, and may be gone when that is disabled",
            f'write <unit name="{name}"/>',
        )
    if unit.kind == "oneshot" and not unit.stays:
        yield (
            f"{name} is over when it has been started: nothing of it can be looked at or stopped",
            f"systemctl edit {name}, and write there: [Service], and below: RemainAfterExit=yes",
        )
    for member in unit.lasting:
        yield (
            f"{name} starts {member}, which stays when it is stopped",
            f"systemctl edit {member}, and write there: [Unit], and below: PartOf={name}",
        )
    stray = unit.active and not runs_here
    wanted = any(not each.trigger for each in unit.starters)
    if wanted and is_quadlet(unit):
        what = f"{unit.source} has a section [Install]: every boot would start {name}"
        end = f"; systemctl stop {name}" if stray else ""
        yield what, f"take that section out of it, then: systemctl daemon-reload{end}"
    elif unit.file_state == ENABLED_ANEW:
        what = f"{name} is enabled in /run, as a generator does at every boot"
        yield what, _manual(name, stray=stray)
    elif unit.file_state in ENABLED and (unit.file_state == "enabled" or wanted):
        now = "--now " if stray else ""
        yield f"{name} is enabled: every boot would start it", f"systemctl disable {now}{name}"
    else:
        if stray:
            yield f"{name} runs, and the cluster did not start it", f"systemctl stop {name}"
        for each in unit.starters:
            if not each.trigger and (each.at_boot or each.active):
                yield _wanted_by(each, name)
    for each in unit.starters:
        if each.trigger:
            yield from _trigger(each, name, runs_here=runs_here)


def is_quadlet(unit: ProgramUnit) -> bool:
    """Tell whether Podman's generator makes the unit at each boot from a file of Quadlet's."""
    return unit.source.endswith(QUADLETS)


def warnings(unit: ProgramUnit, other: ProgramUnit | None, node: str) -> Iterator[Objection]:
    """Say what may go wrong with a unit that can be used; ``other`` is the one of ``node``."""
    name = unit.name
    if unit.guessed:
        yield (
            f"{name} forks and names no PIDFile: systemd guesses what its main process is",
            "let it stay in the foreground (Type=exec), or write PIDFile=",
        )
    for each in unit.stopped_by:
        yield (
            f"when {each} is stopped or restarted, so is {name}, and nobody asks the cluster",
            f"nothing, if that is meant; else leave {each} out of its PartOf= and BindsTo=",
        )
    if not unit.has_image:
        yield f"the image {unit.image} of {name} is not here", f"podman pull {unit.image}"
    if other is not None and unit.digest and other.digest and unit.digest != other.digest:
        what = f"{unit.source} is not as on {node}, or what is added to it"
        yield what, f"make them alike: systemctl cat {name}"


def given_back(unit: ProgramUnit, triggers: tuple[str, ...]) -> str:
    """Return what to type so that a unit runs, and is started by boots, without the cluster.

    It is the way back from what ``objections`` asks for. ``triggers`` are those that are disabled;
    they come first, for no socket is opened beside a service that runs.
    """
    name, lines = unit.name, []
    database = POSTGRESQL.fullmatch(name)
    if is_quadlet(unit):
        return (
            f"write a section [Install] with WantedBy=multi-user.target into {unit.source};"
            f" systemctl daemon-reload; systemctl start {name}"
        )
    itself = unit.file_state in ENABLED_AGAIN and not database
    if enabled := (*triggers, name) if itself else triggers:
        lines.append(f"systemctl enable --now {' '.join(enabled)}")
    if database:
        lines += [_postgresql(database, "auto"), "systemctl daemon-reload"]
    return "; ".join(lines if itself else [*lines, f"systemctl start {name}"])


def _trigger(trigger: Starter, name: str, *, runs_here: bool) -> Iterator[Objection]:
    when = WHEN.get(trigger.name.rpartition(".")[2], "by itself")
    what = f"{trigger.name} starts {name} {when}"
    ours = runs_here and trigger.follows
    if trigger.at_boot:
        now = "--now " if trigger.active and not ours else ""
        yield what, f"systemctl disable {now}{trigger.name}"
    elif trigger.active and not ours:
        yield what, f"systemctl stop {trigger.name}"
    if trigger.pulled and not trigger.follows:
        yield (
            f"{name} starts {trigger.name}, which stays when it is stopped and starts it {when}",
            f"systemctl edit {trigger.name}, and write there: [Unit], and below: PartOf={name}",
        )


def _wanted_by(other: Starter, name: str) -> Objection:
    return (
        f"{other.name} starts {name} whenever it is started itself",
        f"systemctl edit --full {other.name}, and leave {name} out of what it wants",
    )


def _manual(name: str, *, stray: bool) -> str:
    """Say where the generator has it from; that of PostgreSQL in Debian is known."""
    end = f"; systemctl stop {name}" if stray else ""
    if database := POSTGRESQL.fullmatch(name):
        first = _postgresql(database, "manual")
    else:
        first = f"find /run/systemd -name {name} shows which one: tell it not to"
    return f"{first}; systemctl daemon-reload{end}"


def _postgresql(database: re.Match[str], started: str) -> str:
    return f"echo {started} >/etc/postgresql/{'/'.join(database.groups())}/start.conf"
