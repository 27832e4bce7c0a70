"""Ask systemd about the unit that is an application's program, and what else would start it."""

from typing import Final

from hapair.model.unit import ProgramUnit, Starter, Unusable
from hapair.ports.programs import CommandRunner, Finished

LIMIT_S: Final = 20.0
TRIGGERS: Final = "TriggeredBy"
# Who of these is started starts the unit as well.
WANTING: Final = ("WantedBy", "RequiredBy", "BoundBy", "UpheldBy")
PULLED: Final = ("Wants", "Requires", "BindsTo")
FOLLOWING: Final = ("ConsistsOf", "BoundBy")  # They stop with it.
OF_EACH: Final = ("Id", "LoadState", "UnitFileState", "ActiveState")
OF_A_TRIGGER: Final = ("Id", "Triggers")
OF_THE_UNIT: Final = tuple(dict.fromkeys((*OF_EACH, TRIGGERS, *WANTING, *PULLED, *FOLLOWING)))
# By patterns, so that systemd looks at no others: on a busy machine that takes it seconds.
DISABLED: Final = ("systemctl", "list-unit-files", "--no-legend", "--plain", "--state=disabled",
                   "--", "*.socket", "*.timer", "*.path")  # fmt: skip
AT_BOOT: Final = frozenset({"enabled", "enabled-runtime"})
AT_REST: Final = frozenset({"inactive", "failed"})
NO_ANSWER: Final = "systemctl status; then type it again"
Properties = dict[str, str]


async def unit_facts(name: str, run: CommandRunner) -> ProgramUnit | Unusable:
    """Return the facts about a unit, or why it cannot be started here."""
    shown = await _show(run, OF_THE_UNIT, (name,))
    if len(shown) != 1:
        return Unusable(f"systemd gives no answer about {name}", NO_ANSWER)
    (unit,) = shown
    if (loaded := unit.get("LoadState", "")) != "loaded":
        return _not_loaded(name, loaded)
    triggers, wanting = unit.get(TRIGGERS, "").split(), _all_of(unit, WANTING)
    pulled, following = _all_of(unit, PULLED), _all_of(unit, FOLLOWING)
    names = tuple(dict.fromkeys((*triggers, *wanting)))
    others = await _show(run, OF_EACH, names) if names else []
    if len(others) != len(names):
        what = f"systemd gives no answer about {', '.join(names)}, which start {name}"
        return Unusable(what, NO_ANSWER)
    return ProgramUnit(
        name=unit.get("Id", name),
        file_state=unit.get("UnitFileState", ""),
        active=_is_active(unit),
        starters=tuple(
            Starter(
                name=other,
                trigger=other in triggers,
                at_boot=seen.get("UnitFileState") in AT_BOOT,
                active=_is_active(seen),
                pulled=other in pulled,
                follows=other in following,
            )
            for other, seen in zip(names, others, strict=True)
        ),
    )


async def disabled_triggers(name: str, run: CommandRunner) -> tuple[str, ...] | None:
    """Return what would start a unit if it were enabled; None: systemd gives no answer.

    ``name`` is systemd's own name of the unit. It knows of nothing that is at rest unless it is
    asked for it by name, so all of these are.
    """
    seen = await run(DISABLED, timeout_s=LIMIT_S)
    if not isinstance(seen, Finished) or (seen.exit_code != 0 and seen.stderr):
        return None
    listed = [line.split()[0] for line in seen.stdout.splitlines() if line.strip()]
    names = tuple(each for each in listed if "@." not in each)  # Templates start nothing.
    shown = await _show(run, OF_A_TRIGGER, names) if names else []
    if len(shown) != len(names):
        return None
    return tuple(each["Id"] for each in shown if name in each.get("Triggers", "").split())


def _not_loaded(name: str, state: str) -> Unusable:
    match state:
        case "not-found":
            return Unusable(f"systemd has no unit {name}")
        case "masked":
            return Unusable(f"{name} is masked: nothing can start it", f"systemctl unmask {name}")
        case _:
            what = f"systemd cannot load {name}: {state}"
            return Unusable(what, f"mend its file: systemctl status {name}; systemctl cat {name}")


async def _show(
    run: CommandRunner, properties: tuple[str, ...], names: tuple[str, ...]
) -> list[Properties]:
    """Return the properties of each unit in order; nothing when systemd gives no answer."""
    argv = ("systemctl", "show", f"--property={','.join(properties)}", "--", *names)
    seen = await run(argv, timeout_s=LIMIT_S)
    if not isinstance(seen, Finished) or seen.exit_code != 0:
        return []
    return [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in seen.stdout.strip().split("\n\n")
    ]


def _all_of(unit: Properties, properties: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for each in properties for name in unit.get(each, "").split())


def _is_active(unit: Properties) -> bool:
    return unit.get("ActiveState", "inactive") not in AT_REST
