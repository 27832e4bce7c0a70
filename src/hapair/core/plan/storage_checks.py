"""What clbuild checks of the tools that could take, hide or write to a replicated volume."""

import re
from typing import Final

from hapair.core.plan.machine_checks import named_groups
from hapair.core.plan.situation import Problems, Side, Situation, on
from hapair.model.built import Built
from hapair.model.node_facts import Lvm, VolumeGroup
from hapair.model.problem import Problem

FILTER: Final = "r|^/dev/drbd|"
# Names of one of DRBD's devices, as the kernel and udev give them.
DRBD_NAMES: Final = ("/dev/drbd10", "/dev/drbd/by-res/orders.data/0", "/dev/drbd/by-disk/vg/data")
SCANNED: Final = (
    "LVM scans DRBD's devices: a scan holds a device that is about to move, and hangs on one whose"
    " writes are frozen"
)
# Options of disks that no file of a resource can take back, and what they do to ours.
OF_COMMON: Final = {
    "size": "DRBD attaches no copy that is larger",
    "resync-after": "every resync waits for that resource",
}


def lvm_filter(situation: Situation) -> Problems:
    for side in situation.sides:
        yield from _scans_drbd(side)


def activation(situation: Situation) -> Problems:
    """Every volume that is built must be one that LVM gives to this machine, for writing."""
    named = named_groups(situation)
    for side in situation.sides:
        for group in side.facts.lvm.groups:
            if group.name in named:
                yield from _not_ours(side, group)
        yield from _not_active(side, situation.previous)


def common_of_drbd(situation: Situation) -> Problems:
    for side in situation.sides:
        yield from _said_of_all(side)


def at_boot(situation: Situation) -> Problems:
    for side in situation.sides:
        yield from _brought_up_at_boot(side)


def scrubs(situation: Situation) -> Problems:
    for side in situation.sides:
        yield from _scrubbed(side)


def lost(side: Side) -> Problems:
    """Say what the machine's files no longer say as they did when clbuild was content with them.

    Nothing but those files needs to be known of the machine.
    """
    if needs_filter(side.facts.lvm) and not side.facts.lvm.error:
        yield Problem(side.node, "lvm filter", SCANNED, "clbuild", warning=True)
    yield from _scans_drbd(side)
    yield from _not_active(side, side.built)
    yield from _said_of_all(side)
    yield from _brought_up_at_boot(side)
    yield from _scrubbed(side)


def needs_filter(lvm: Lvm) -> bool:
    """Tell whether LVM has to be kept from DRBD's devices, and nobody set how.

    A filter that the administrator made is left alone: a check says what it lacks.
    """
    return not lvm.global_filter and lvm.devices is None


def _scans_drbd(side: Side) -> Problems:
    lvm = side.facts.lvm
    if lvm.devices is not None:  # LVM ignores its filters then.
        for name in lvm.devices:
            if name.startswith("/dev/drbd"):
                mend = on(side.node, f"lvmdevices --deldev {name}")
                yield Problem(side.node, "lvm devices", SCANNED, mend, warning=True)
    elif lvm.global_filter and not rejects_drbd(lvm.global_filter):
        patterns = ", ".join(f'"{each}"' for each in (FILTER, *lvm.global_filter))
        yield Problem(
            side.node,
            "lvm filter",
            SCANNED,
            on(
                side.node,
                "put our pattern first where it is set (grep global_filter /etc/lvm/*.conf):"
                f" global_filter = [ {patterns} ]",
            ),
            warning=True,
        )


def rejects_drbd(patterns: tuple[str, ...]) -> bool:
    """Tell whether an LVM filter keeps LVM away from DRBD's devices, as LVM reads it.

    The first pattern that matches decides about a name; a device is rejected when one of its names
    is and none is accepted.
    """
    verdicts = {_verdict(patterns, name) for name in DRBD_NAMES}
    return "r" in verdicts and "a" not in verdicts


def _verdict(patterns: tuple[str, ...], name: str) -> str:
    """Return "a" or "r"; empty when no pattern matches. What accepts any DRBD may accept ours."""
    for pattern in patterns:
        kind, expression = pattern[:1], pattern[2:-1]
        if (kind == "a" and "drbd" in expression) or _matches(expression, name):
            return kind
    return ""


def _matches(expression: str, name: str) -> bool:
    try:
        return re.search(expression, name) is not None
    except re.error:
        return False


def _not_ours(side: Side, group: VolumeGroup) -> Problems:
    lvm = side.facts.lvm
    if group.system_id not in {"", lvm.system_id}:
        mine = f"this machine's is {lvm.system_id}" if lvm.system_id else "this machine has none"
        yield Problem(
            side.node,
            group.name,
            f"it belongs to the system ID {group.system_id}, and {mine}: LVM does not use it here",
            on(
                side.node,
                'vgchange --yes --config \'global/system_id_source="lvmlocal"'
                f' local/system_id="{group.system_id}"\' --systemid "{lvm.system_id}" {group.name}'
                " (no other machine may use its disks)",
            ),
        )
    if group.lock_type not in {"", "none"}:
        yield Problem(
            side.node,
            group.name,
            f"machines share it (lock type {group.lock_type}): no volume is activated without"
            " lvmlockd, which a take-over cannot wait for",
            on(side.node, f"vgchange --lock-type none --lock-opt force {group.name}"),
        )
    if group.exported:
        yield Problem(
            side.node,
            group.name,
            "it is exported: LVM activates none of its volumes",
            on(side.node, f"vgimport {group.name}"),
        )


def _not_active(side: Side, built: Built | None) -> Problems:
    lvm = side.facts.lvm
    volumes = [volume for each in (built.applications if built else ()) for volume in each.volumes]
    names = [
        (volume.volume_group, f"{volume.volume_group}/{name}")
        for volume in volumes
        for name in (volume.logical_volume, volume.meta_volume)
    ]
    left_out = [name for group, name in names if not _may_be_in(lvm.volume_list, group, name)]
    listed = lvm.read_only_volume_list
    read_only = [name for group, name in names if group in listed or name in listed]
    yield from _listed(side, "volume_list", left_out, "inactive", "add {} to")
    effect = "read-only, and DRBD cannot write"
    yield from _listed(side, "read_only_volume_list", read_only, effect, "take {} out of")


def _listed(side: Side, setting: str, names: list[str], effect: str, mend: str) -> Problems:
    if names:
        more = f" and {len(names) - 1} more" if names[1:] else ""
        group = names[0].partition("/")[0]
        yield Problem(
            side.node,
            f"lvm {setting}",
            f"it leaves {names[0]}{more} {effect}",
            on(side.node, f"{mend.format(group)} {setting} (grep {setting} /etc/lvm/*.conf)"),
        )


def _may_be_in(listed: tuple[str, ...] | None, group: str, name: str) -> bool:
    """Tell whether a list of LVM's may select a volume; tags, "@...", may be on any."""
    return listed is None or any(each in {group, name} or each[:1] == "@" for each in listed)


def _said_of_all(side: Side) -> Problems:
    for option, effect in OF_COMMON.items():
        if option in side.facts.drbd.common_disk:
            yield Problem(
                side.node,
                f'"{option}" of all resources',
                f"a common section in /etc/drbd.d sets it, and no file of ours can: {effect}",
                on(side.node, "move it to the files of the resources that it is meant for"),
                warning=True,
            )


def _brought_up_at_boot(side: Side) -> Problems:
    drbd = side.facts.drbd
    every = "; start other resources by a unit of their own"
    found = [("drbd.service", every)] * drbd.at_boot + [(unit, "") for unit in drbd.units_at_boot]
    for unit, besides in found:
        yield Problem(
            side.node,
            unit,
            "it is enabled: at a boot it attaches our volumes before anybody looks whether they"
            " were written to meanwhile, waits for the other node, and may make a copy Primary",
            on(side.node, f"systemctl disable {unit}{besides}"),
            warning=True,
        )


def _scrubbed(side: Side) -> Problems:
    if side.facts.scrubs_unmounted:
        yield Problem(
            side.node,
            "e2scrub",
            "it regularly checks logical volumes that are not mounted, and notes the result in"
            " their file systems: below DRBD, so that the copies differ",
            on(side.node, "set scrub_all=0 in /etc/e2scrub.conf"),
        )
