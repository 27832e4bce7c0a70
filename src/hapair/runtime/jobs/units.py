"""Ask systemd about the unit that is an application's program, and what else would start it."""

import asyncio
import hashlib
import re
from pathlib import Path
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
STOPPING: Final = ("PartOf", "BindsTo")  # It stops with them.
OF_ITSELF: Final = (
    "Type", "RemainAfterExit", "PIDFile", "FragmentPath", "SourcePath", "DropInPaths",
)  # fmt: skip
OF_THE_UNIT: Final = tuple(
    dict.fromkeys((*OF_EACH, TRIGGERS, *WANTING, *PULLED, *FOLLOWING, *STOPPING, *OF_ITSELF))
)
# What of others, when it stops, is nothing that somebody may do for another reason.
NO_PROGRAMS: Final = (".device", ".mount", ".slice", ".target")
PROGRAMS: Final = (".service", ".socket", ".timer", ".path")
IMAGE: Final = re.compile(r"(?m)^\s*Image\s*=\s*(\S+)\s*$")
BROUGHT: Final = (".image", ".build")  # By another unit of Quadlet's, whose file says which.
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
    source = unit.get("SourcePath") or unit.get("FragmentPath", "")
    text = await asyncio.to_thread(_read, source, unit.get("DropInPaths", "").split())
    images = IMAGE.findall(text) if source.endswith(".container") else []
    image = "" if not images or images[-1].endswith(BROUGHT) else images[-1]
    kind = unit.get("Type", "")
    return ProgramUnit(
        kind=kind,
        stays=kind != "oneshot" or unit.get("RemainAfterExit") == "yes",
        guessed=kind == "forking" and not unit.get("PIDFile"),
        lasting=_lasting(unit),
        stopped_by=tuple(
            each for each in _all_of(unit, STOPPING) if not each.endswith(NO_PROGRAMS)
        ),
        source=source,
        digest=hashlib.sha256(text.encode()).hexdigest() if text else "",
        image=image,
        has_image=not image or await _has_image(image, run),
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


def _read(source: str, added: list[str]) -> str:
    """Return the texts of a unit's files; nothing where one cannot be read.

    Quadlet's files have additions of their own, of which systemd knows nothing.
    """
    files = dict.fromkeys(
        (Path(source), *sorted(Path(f"{source}.d").glob("*.conf")), *map(Path, added))
    )
    try:
        return "\n".join(file.read_text("utf-8", "replace") for file in files) if source else ""
    except OSError:
        return ""


def _lasting(unit: Properties) -> tuple[str, ...]:
    """Return what a target starts, and leaves when it is stopped."""
    if not unit.get("Id", "").endswith(".target"):
        return ()
    following = _all_of(unit, FOLLOWING)
    pulled = (each for each in _all_of(unit, PULLED) if each.endswith(PROGRAMS))
    return tuple(each for each in pulled if each not in following)


async def _has_image(image: str, run: CommandRunner) -> bool:
    """Tell whether Podman has an image; True as well where it does not tell."""
    seen = await run(("podman", "image", "exists", image), timeout_s=LIMIT_S)
    return not (isinstance(seen, Finished) and seen.exit_code == 1)


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
