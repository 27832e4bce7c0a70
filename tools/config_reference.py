"""The text of docs/reference/configuration.md, from the description in ``hapair.config``.

``make reference`` writes it.
"""

from pathlib import Path
from typing import Final

from hapair.config.format_appconf import APPLICATION
from hapair.config.format_clconf import CLUSTER
from hapair.config.format_clstart import CLSTART
from hapair.config.grammar import Attribute, Child, Element
from hapair.model.cluster import Timing
from hapair.model.drbd_timing import drbd_timing

ROOT: Final = Path(__file__).parents[1]
SAMPLES: Final = ROOT / "packaging/samples"

HEAD: Final = """\
# The configuration files

Made from the code by `make reference`.

An administrator writes two kinds of files, and may write a third:

| file | says | accepted by |
|---|---|---|
| `/etc/cluster/clconf.xml` | what the cluster consists of | `clbuild` |
| `/etc/cluster/<application>/appconf.xml` | what an application consists of | `clbuildapp` |
| `/etc/cluster/clstart.xml` | what a node does when it boots | `clstartup`, at each boot |

- Edit a file on one node. `clbuild` and `clbuildapp` check it, report everything that is wrong at
  once, each with its line and how to mend it, and copy it to the other node.
- From the edit until it is accepted, commands that change the cluster refuse to run. What keeps
  data safe (`clstat`, `clhalt`) always works, even when the file is gone. Comments and layout may
  be changed at any time.
- Elements stand in any order. Unknown elements and attributes are refused, never ignored.
- A value that begins with `CHANGE:` is what a draft of `clnewapp` leaves open: it is refused.
- Durations have a unit: `400ms`, `2s`, `10m`, `1h`. Switches are `yes` or `no`.
- Files are UTF-8 text of at most 1 MiB. Document types and entities are refused.
- Commented samples are in `/usr/share/hapair/samples`, schemas for editors in
  `/usr/share/hapair/schema`. An editor finds the schema by the second line of a sample:
  `<?xml-model href="/usr/share/hapair/schema/clconf.xsd"?>`
"""

CLUSTER_CHECKS: Final = """\
Besides, these must hold:

- There are exactly two nodes, and each network attaches both. A card belongs to one network.
- Each network has subnets of its own; both nodes are in the same ones, with different addresses.
- Exactly one network replicates. The only network does so by itself.
- The range of ports has one port more than there are devices.
- At least three heartbeats fit into the detection time.
- The reference address is in its network's subnet, belongs to neither node, and is not on a
  crossover network. `paths` needs two networks, and a reference address at one of them.
- `witness` has one to three different witnesses, none of them on a node; a folder of the kind
  `file` is not one that each node has for itself. A majority must grant: one of one, two of two,
  two of three.
- `fencing` has a method against each node. A parameter has a value or a file, not both; `action`
  is set by hapair. Only `fencing` has methods, only `witness` has witnesses.
- The lease is longer than the detection time, by a heartbeat at least. The window is shorter than
  both. The watchdog's time-out is at most the lease, in whole seconds.

Warnings do not stop `clbuild`: arbitration by `paths` and by `operator` (what each of them means),
two witnesses, a witness without TLS, a password that stands in the file itself, a single network,
a detection time below 1s, ports that Linux gives to outgoing connections.
"""

TIMING_HEAD: Final = """\
### What the detection time means for DRBD

The kernels watch each other too. DRBD's own time-outs follow from `detection`:

| detection | ping-int | ping-timeout | timeout | connect-int | ko-count |
|---|---|---|---|---|---|
"""
TIMING_EXAMPLES_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)

APPLICATION_CHECKS: Final = """\
Besides, these must hold:

- The application has the name of its folder. `built`, `keys` and `secrets` are the cluster's own
  folders.
- The preferred node and the networks exist in clconf.xml.
- Addresses lie in a subnet of their network, and belong to no node, no reference and no other
  application. An application has at most 1,000 addresses.
- A volume group, and a systemd unit, belongs to one application only.
"""

CONTRACT: Final = """\
### What is expected of a script

It is called as root with one argument.

- `start` starts the application and ends with 0 when it serves. Its data is mounted and its
  addresses are there. It must cope with what a crash left behind: lock files, open transactions.
- `stop` stops it and ends with 0 when nothing of it runs any more, also when nothing was running.
- Any other exit code is a failure. Processes that it leaves behind belong to the application and
  are ended after `stop`.
"""


def reference() -> str:
    """Return the whole document."""
    parts = [
        HEAD,
        _chapter("clconf.xml", CLUSTER, "clconf-minimal.xml"),
        CLUSTER_CHECKS,
        _timing(),
        _chapter("appconf.xml", APPLICATION, "appconf-minimal.xml"),
        APPLICATION_CHECKS,
        CONTRACT,
        _chapter("clstart.xml", CLSTART, None),
        _later(),
    ]
    return "\n".join(parts)


def _chapter(file: str, root: Element, sample: str | None) -> str:
    text = f"## {file}\n\n"
    if sample is not None:
        text += f"```xml\n{(SAMPLES / sample).read_text()}```\n\n"
    return text + "\n".join(_sections(root, (), None))


def _sections(element: Element, above: tuple[str, ...], child: Child | None) -> list[str]:
    path = (*above, element.name)
    lines = [f"### `<{'> <'.join(path)}>`", "", element.about + _times(child)]
    if element.alternatives:
        names = " or ".join(f"`<{one.element.name}>`" for one in element.children)
        lines += ["", f"It holds exactly one of {names}."]
    if element.text is not None:
        lines += ["", f"Text: {element.text.about}."]
    lines += ["", *_attributes(element.attributes, later=False)]
    for one in element.children:
        if not one.element.later:
            lines += _sections(one.element, path, None if element.alternatives else one)
    return lines


def _times(child: Child | None) -> str:
    if child is None:
        return ""
    match child.least, child.most:
        case 0, 1:
            return " Optional."
        case 1, 1:
            return " Required."
        case 2, 2:
            return " Exactly two."
        case 0, most:
            return f" Any number, at most {most}."
        case least, most:
            return f" At least {least}, at most {most}."


def _attributes(attributes: tuple[Attribute[object], ...], *, later: bool) -> list[str]:
    shown = [attribute for attribute in attributes if later or not attribute.later]
    if not shown:
        return []
    lines = ["| attribute | value | default | meaning |", "|---|---|---|---|"]
    for attribute in shown:
        default = attribute.default_about or (
            f"`{attribute.default}`" if attribute.default else "none"
        )
        if attribute.required:
            default = "required"
        cells = (f"`{attribute.name}`", attribute.kind.about, default, attribute.about)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*lines, ""]


def _timing() -> str:
    rows = []
    for detection_s in TIMING_EXAMPLES_S:
        drbd = drbd_timing(Timing(detection_s))
        rows.append(
            f"| {detection_s:g} s | {drbd.ping_interval_s} s | {drbd.ping_timeout_tenths / 10:g} s "
            f"| {drbd.write_timeout_tenths / 10:g} s | {drbd.connect_interval_s} s "
            f"| {drbd.slow_writes_max} |\n"
        )
    return TIMING_HEAD + "".join(rows)


def _later() -> str:
    """Describe what is designed but refused, for readers of the message that refuses it."""
    lines = [
        "## Not available in this version",
        "",
        "The format has places for what later versions bring. Until then they are refused:",
        "the message says so.",
        "",
    ]
    for root in (CLUSTER, APPLICATION):
        lines += _later_in(root, ())
    return "\n".join(lines)


def _later_in(element: Element, above: tuple[str, ...]) -> list[str]:
    path = (*above, element.name)
    place = f"`<{'> <'.join(path)}>`"
    if element.later:
        lines = [f"### {place}", "", f"{element.about} Until then: {element.later}.", ""]
        lines += _attributes(element.attributes, later=True)
        return lines + _later_children([child.element for child in element.children])
    lines = []
    for attribute in element.attributes:
        if attribute.later:
            lines += [f"### {place} `{attribute.name}`", ""]
            lines += [f"{attribute.about} Until then: {attribute.later}.", ""]
    for child in element.children:
        lines += _later_in(child.element, path)
    return lines


def _later_children(children: list[Element]) -> list[str]:
    """Describe what an element will hold; attributes that all of it share are told once."""
    shared: tuple[Attribute[object], ...] = ()
    lines = []
    if len(children) > 1:
        first, *others = (child.attributes for child in children)
        shared = tuple(one for one in first if all(one in other for other in others))
    for child in children:
        own = tuple(attribute for attribute in child.attributes if attribute not in shared)
        lines += [f"`<{child.name}>`: {child.about}", "", *_attributes(own, later=True)]
    if shared:
        lines += ["All of them have:", "", *_attributes(shared, later=True)]
    return lines
