"""What clbuild checks of each machine: its software, storage, names and clock."""

from ipaddress import ip_address
from typing import Final

from hapair.core.plan.situation import Problems, Side, Situation, addresses_of, on
from hapair.model.node_facts import Drbd, Lvm, VolumeGroup
from hapair.model.problem import Problem

HELPER: Final = "drbdadm"  # It looks into the resource files, which name our handlers.
CLOCK_DIFFERENCE_MAX_MS: Final = 10_000
FREE_BYTES_MIN: Final = 32 * 1024**2
# Enough for the meta-data of about 1 TiB; clbuildapp computes what it really needs.
GROUP_FREE_BYTES_MIN: Final = 40 * 1024**2
# Tool, Debian's package, and whether the cluster can do without it.
TOOLS: Final = (
    ("drbdadm", "drbd-utils", True),
    ("drbdsetup", "drbd-utils", True),
    ("drbdmeta", "drbd-utils", True),
    ("lvs", "lvm2", True),
    ("vgs", "lvm2", True),
    ("lvcreate", "lvm2", True),
    ("ip", "iproute2", True),
    ("modprobe", "kmod", True),
    ("openssl", "openssl", True),
    ("ssh", "openssh-client", True),
    ("systemctl", "systemd", True),
    ("e2fsck", "e2fsprogs", True),
    ("xfs_repair", "xfsprogs", False),
)


def versions(situation: Situation) -> Problems:
    for side in situation.sides:
        installed, running = side.facts.version, side.facts.daemon.version
        if running not in {"", installed}:
            yield Problem(
                side.node,
                "hapair",
                f"its daemon still runs version {running}, version {installed} is installed",
                on(side.node, "systemctl restart hapaird (applications go on)"),
                warning=_understand_each_other(running, installed),
            )
    first, second = situation.sides
    mine, other = first.facts.version, second.facts.version
    if mine != other:
        yield Problem(
            f"{first.node}, {second.node}",
            "hapair",
            f"{first.node} has version {mine} installed, {second.node} has {other}",
            "install the newer version on both nodes",
            warning=_understand_each_other(mine, other),
        )


def _understand_each_other(one: str, other: str) -> bool:
    """Tell whether only the last number of the releases differs: a rolling upgrade."""
    return one.split(".")[:2] == other.split(".")[:2]


def host_names(situation: Situation) -> Problems:
    for side in situation.sides:
        if side.facts.hostname != side.node:
            yield Problem(
                side.node,
                "host name",
                f"the machine calls itself {side.facts.hostname}, clconf.xml calls it {side.node}",
                on(side.node, f"hostnamectl set-hostname {side.node}")
                + f"; or name the node {side.facts.hostname} in clconf.xml",
            )


def identities(situation: Situation) -> Problems:
    first, second = (side.facts for side in situation.sides)
    nodes = " and ".join(situation.cluster.nodes)
    if first.boot_id == second.boot_id:
        yield Problem(
            nodes,
            "machine",
            "both are the same machine",
            "check the nodes' addresses in clconf.xml: one address of each network per machine",
        )
    elif first.machine_id == second.machine_id:
        yield Problem(
            nodes,
            "machine-id",
            "both have the same /etc/machine-id, as a cloned machine has",
            on(
                situation.cluster.nodes[1],
                "rm /etc/machine-id /var/lib/dbus/machine-id; systemd-machine-id-setup; reboot",
            ),
            warning=True,
        )


def drbd(situation: Situation) -> Problems:
    for side in situation.sides:
        yield from _drbd_of(side)


def _drbd_of(side: Side) -> Problems:
    facts = side.facts.drbd
    if not facts.version:
        yield Problem(
            side.node,
            "drbd module",
            f"the running kernel {side.facts.kernel} has no DRBD module that can be loaded"
            + (f" ({facts.error})" if facts.error else ""),
            on(side.node, _module_mend(facts, side.facts.kernel)),
        )
    elif facts.error:
        yield Problem(
            side.node,
            "drbd resources",
            f"it is not known which devices the kernel has in use ({facts.error})",
            on(side.node, "see that this answers, then try again: drbdsetup events2 --now"),
        )
    if not facts.reads_our_folder:
        yield Problem(
            side.node,
            "drbd.conf",
            "/etc/drbd.conf does not read the resource files of /etc/drbd.d",
            on(side.node, "echo 'include \"drbd.d/*.res\";' >> /etc/drbd.conf"),
        )
    if facts.helper and not facts.helper.endswith(f"/{HELPER}"):
        yield Problem(
            side.node,
            "drbd module",
            f"its usermode_helper is {facts.helper}: the kernel asks nobody whether it may go on"
            " without its peer, so no application could be taken over",
            on(
                side.node,
                "remove usermode_helper from /etc/modprobe.d and from the kernel's command line;"
                f" echo /sbin/{HELPER} > /sys/module/drbd/parameters/usermode_helper",
            ),
        )


def _module_mend(facts: Drbd, kernel: str) -> str:
    if facts.dkms:
        return f"apt install linux-headers-{kernel}; dkms autoinstall -k {kernel}"
    return "boot a kernel that has it (Debian: apt install linux-image-amd64; reboot), or build it"


def installed_kernels(situation: Situation) -> Problems:
    for side in situation.sides:
        lacking = [
            kernel.release
            for kernel in side.facts.kernels
            if not kernel.has_drbd and kernel.release != side.facts.kernel
        ]
        for release in lacking:
            yield Problem(
                side.node,
                "installed kernels",
                f"kernel {release} has no DRBD module: after a boot into it the node cannot"
                " replicate",
                on(side.node, _kernel_mend(side.facts.drbd, release)),
                warning=True,
            )


def _kernel_mend(facts: Drbd, release: str) -> str:
    if facts.dkms:
        return f"dkms autoinstall -k {release}"
    return f"remove that kernel (Debian: apt purge linux-image-{release}), or add its module"


def drbd_protocols(situation: Situation) -> Problems:
    first, second = (side.facts.drbd for side in situation.sides)
    if not first.protocols or not second.protocols:
        return  # No module there: said by another check.
    shared = any(
        mine.lowest <= theirs.highest and theirs.lowest <= mine.highest
        for mine in first.protocols
        for theirs in second.protocols
    )
    if not shared:
        yield Problem(
            ", ".join(situation.cluster.nodes),
            "drbd protocol",
            f"DRBD {first.version} and {second.version} speak no common protocol version",
            "install DRBD modules whose protocol versions overlap (see: cat /proc/drbd)",
        )


def lvm(situation: Situation) -> Problems:
    for side in situation.sides:
        facts = side.facts.lvm
        if not facts.version:
            yield Problem(
                side.node,
                "lvm",
                f"LVM does not answer ({facts.error or 'it is not installed'})",
                on(side.node, "apt install lvm2; vgs"),
            )


def tools(situation: Situation) -> Problems:
    for side in situation.sides:
        for tool, package, needed in TOOLS:
            if tool not in side.facts.tools:
                yield Problem(
                    side.node,
                    "tools",
                    f"the command {tool} is missing"
                    + ("" if needed else "; file systems of its kind cannot be replicated"),
                    on(side.node, f"install the package {package} (Debian: apt install {package})"),
                    warning=not needed,
                )


def named_groups(situation: Situation) -> tuple[str, ...]:
    """Return the volume groups that applications use, sorted."""
    previous = situation.previous
    applications = previous.applications if previous else ()
    return tuple(
        sorted({name for built in applications for name in built.application.volume_groups})
    )


def storage(situation: Situation) -> Problems:
    named = named_groups(situation)
    for side in situation.sides:
        groups = {group.name: group for group in side.facts.lvm.groups}
        for name in named:
            if side.facts.lvm.version and name not in groups:
                yield Problem(
                    side.node,
                    name,
                    "an application uses this volume group, and the node does not have it",
                    on(side.node, _group_mend(name, side.facts.lvm)),
                )
        for group in side.facts.lvm.groups:
            yield from _strange_storage(side.node, group, used=group.name in named)
            if group.name in named and group.free_bytes < GROUP_FREE_BYTES_MIN:
                yield _nearly_full(side.node, group)
    yield from _shared_groups(situation, named)


def _group_mend(name: str, lvm: Lvm) -> str:
    if lvm.devices is not None:
        return (
            f"vgimportdevices {name} (LVM looks at the disks of its devices file only:"
            " lvmdevices), or replace the lost disk"
        )
    return f"vgcreate {name} DEVICE, or replace the lost disk (vgs; pvs)"


def _strange_storage(node: str, group: VolumeGroup, *, used: bool) -> Problems:
    for volume in group.physical_volumes:
        if not volume.objection:
            continue
        yield Problem(
            node,
            group.name,
            volume.objection + ("" if used else "; applications cannot use this volume group"),
            on(node, f"move the volume group to a local disk: pvmove {volume.device} DEVICE"),
            warning=not used,
        )


def _nearly_full(node: str, group: VolumeGroup) -> Problem:
    return Problem(
        node,
        group.name,
        f"only {group.free_bytes // 1024**2} MiB are free in the volume group: there is no room"
        " for the meta-data of another volume",
        on(node, f"vgextend {group.name} DEVICE"),
        warning=True,
    )


def _shared_groups(situation: Situation, named: tuple[str, ...]) -> Problems:
    first, second = situation.sides
    here = {group.identity: group for group in first.facts.lvm.groups}
    for group in second.facts.lvm.groups:
        if group.identity in here:
            yield Problem(
                f"{first.node}, {second.node}",
                group.name,
                "both nodes see the same volume group: it lies on a shared or a cloned disk, and"
                " two copies of the data need two disks",
                on(second.node, own_group(group.name)),
                warning=group.name not in named,
            )


def own_group(name: str) -> str:
    """Return how a node gets a volume group of its own instead of one that both see."""
    steps = (f"vgchange {step} {name}" for step in ("-an", "--uuid", "-ay"))
    return f"make one on another disk; if its disk is a clone: {' && '.join(steps)}"


def names(situation: Situation) -> Problems:
    for side in situation.sides:
        resolved = {entry.name: entry.addresses for entry in side.facts.names}
        for node in situation.cluster.nodes:
            yield from _name_on(situation, side.node, node, resolved.get(node, ()))


def _name_on(situation: Situation, asker: str, node: str, addresses: tuple[str, ...]) -> Problems:
    own = addresses_of(situation.cluster, node)
    mend = on(asker, f"echo '{own[0]} {node}' >> /etc/hosts")
    if not addresses:
        yield Problem(asker, f"name {node}", "it cannot be resolved", mend)
    elif not set(addresses) & set(own):
        harmless = asker == node and all(ip_address(each).is_loopback for each in addresses)
        yield Problem(
            asker,
            f"name {node}",
            f"it means {', '.join(addresses)}, which is none of the node's addresses in"
            f" clconf.xml ({', '.join(own)})",
            on(asker, f"write '{own[0]} {node}' into /etc/hosts instead"),
            warning=harmless,
        )


def clocks(situation: Situation) -> Problems:
    first, second = situation.sides
    difference_ms = abs(first.facts.wall_ms - second.facts.wall_ms)
    if difference_ms > CLOCK_DIFFERENCE_MAX_MS:
        behind = first if first.facts.wall_ms < second.facts.wall_ms else second
        yield Problem(
            f"{first.node}, {second.node}",
            "clocks",
            f"they differ by {difference_ms / 1000:.0f} s, with {behind.node} behind",
            "on both: apt install systemd-timesyncd (or chrony); timedatectl set-ntp true",
        )


def space(situation: Situation) -> Problems:
    for side in situation.sides:
        for entry in side.facts.spaces:
            if entry.free_bytes < FREE_BYTES_MIN:
                yield Problem(
                    side.node,
                    "free space",
                    f"{entry.folder} has {entry.free_bytes // 1024**2} MiB left, at least"
                    f" {FREE_BYTES_MIN // 1024**2} MiB are needed",
                    on(side.node, f"make room (df -h {entry.folder})"),
                )


def other_managers(situation: Situation) -> Problems:
    for side in situation.sides:
        for manager in side.facts.other_managers:
            yield Problem(
                side.node,
                "cluster software",
                f"{manager} runs here too; two managers fight over resources",
                on(side.node, f"systemctl disable --now {manager}"),
                warning=True,
            )
