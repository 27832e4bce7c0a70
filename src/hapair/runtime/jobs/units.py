"""Ask systemd about the unit that is an application's program, and what else would start it."""

from typing import Final

from hapair.model.unit import ProgramUnit, Starter, Unusable
from hapair.ports.programs import CommandRunner, Finished

LIMIT_S: Final = 10.0
TRIGGERS: Final = "TriggeredBy"
# Who of these is started starts the unit as well.
WANTING: Final = ("WantedBy", "RequiredBy", "BoundBy", "UpheldBy")
PULLED: Final = ("Wants", "Requires", "BindsTo")
FOLLOWING: Final = ("ConsistsOf", "BoundBy")  # They stop with it.
OF_EACH: Final = ("Id", "LoadState", "UnitFileState", "ActiveState")
OF_THE_UNIT: Final = tuple(dict.fromkeys((*OF_EACH, TRIGGERS, *WANTING, *PULLED, *FOLLOWING)))
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
