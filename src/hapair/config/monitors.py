"""<monitors> of appconf.xml: what does not go together, and the values."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from hapair.config import format_monitors as fmt
from hapair.config.complaints import Complaints
from hapair.config.document import Node, shown
from hapair.config.grammar import must, value_of
from hapair.model import monitor
from hapair.model.monitor import MONITORS_MAX, NO_MONITORS, Monitor, Monitors, Probe

# What a monitor needs that watches this; the words for people.
_NEEDS: Final[Mapping[str, tuple[tuple[str, ...], str, str]]] = {
    "filesystem": (("volumegroup",), "the application has no file system", "add a <volumegroup>"),
    "process": (("run",), "the application has no program", "add a <run>"),
    "resources": (("run",), "the application has no program", "add a <run>"),
    "ocf": (("run", "ocf"), "the application's program is no OCF agent", "use another monitor"),
}
# Their names belong to what is watched even where nobody wrote a monitor.
_ALWAYS: Final = ("filesystem", "process")


def check(root: Node, complaints: Complaints) -> None:
    """Report what the grammar cannot know of the monitors of an application."""
    names: dict[str, Node] = {}
    nodes = [each for monitors in root.named("monitors") for each in monitors.children]
    _check_number(root, nodes, complaints)
    for node in nodes:
        _check_name(node, names, complaints)
        if node.name in _NEEDS:
            path, what, mend = _NEEDS[node.name]
            if not _has(root, path):
                complaints.error(node.line, f"<{node.name}>", what, f"{mend}, or remove this one")
        if node.name in _CHECKS:
            _CHECKS[node.name](node, complaints)


def _check_number(root: Node, nodes: Sequence[Node], complaints: Complaints) -> None:
    kinds = {node.name for node in nodes}
    always = [name for name in _ALWAYS if name not in kinds and _has(root, _NEEDS[name][0])]
    written_max = MONITORS_MAX - len(always)
    if len(nodes) > written_max:
        with_them = f" with {' and '.join(always)}" if always else ""
        what = f"{len(nodes)} monitors are too many: at most {MONITORS_MAX} are possible{with_them}"
        mend = "remove some, or let one check ask about several things"
        complaints.error(nodes[written_max].line, "<monitors>", what, mend)


def _has(node: Node, path: tuple[str, ...]) -> bool:
    first, *rest = path
    return any(not rest or _has(each, tuple(rest)) for each in node.named(first))


def _name(node: Node) -> str:
    return value_of(node, fmt.NAME) or node.name


def _check_name(node: Node, names: dict[str, Node], complaints: Complaints) -> None:
    name, line, field = _name(node), node.line_of("name"), f"<{node.name}> name"
    if name in _ALWAYS and node.name != name:
        what = f"{shown(name)} is the name of a monitor that is always there"
        complaints.error(line, field, what, "write another one")
    elif (first := names.setdefault(name, node)) is not node:
        what = f"the monitor of line {first.line} is called {shown(name)} too"
        complaints.error(line, field, what, 'give each of them a name: name="..."')


def _check_process(node: Node, complaints: Complaints) -> None:
    most, least = value_of(node, fmt.PROCESS_MOST), value_of(node, fmt.PROCESS_LEAST)
    if most is not None and least is not None and most < least:
        what = f"{most} is less than least, which is {least}"
        complaints.error(node.line_of("most"), "<process> most", what, "write a higher number")


def _check_http(node: Node, complaints: Complaints) -> None:
    url = value_of(node, fmt.HTTP_URL)
    if url is not None and url.startswith("http:") and "certificate_days" in node.attributes:
        line, what = node.line_of("certificate_days"), "http has no certificate"
        complaints.error(line, "<http> certificate_days", what, "write an https URL, or remove it")


def _check_resources(node: Node, complaints: Complaints) -> None:
    limited = {"memory", "cpu"} & set(node.attributes)
    if not limited and value_of(node, fmt.OUT_OF_MEMORY) is False:
        mend = "write memory or cpu, or remove it"
        complaints.error(node.line, "<resources>", "it watches nothing", mend)


_CHECKS: Final[Mapping[str, Callable[[Node, Complaints], None]]] = {
    "process": _check_process,
    "http": _check_http,
    "resources": _check_resources,
}


def build(root: Node) -> Monitors:
    """Return the monitors of a file that is known to be right."""
    for node in root.named("monitors"):
        each = tuple(_monitor(child) for child in node.children)
        return Monitors(must(node, fmt.RESTARTS), must(node, fmt.PERIOD), each)
    return NO_MONITORS


def _monitor(node: Node) -> Monitor:
    timeout = fmt.FILE_SYSTEM_TIMEOUT if node.name == fmt.FILE_SYSTEM.name else fmt.TIMEOUT
    return Monitor(
        _name(node),
        _PROBES[node.name](node),
        must(node, fmt.INTERVAL),
        must(node, timeout),
        must(node, fmt.FAILURES),
        must(node, fmt.DELAY),
    )


def _file_system(node: Node) -> Probe:
    return monitor.FileSystemProbe(must(node, fmt.SPACE_WARN), must(node, fmt.INODES_WARN))


def _process(node: Node) -> Probe:
    return monitor.ProcessProbe(
        value_of(node, fmt.PROCESS_MATCH) or "",
        value_of(node, fmt.PROCESS_PROGRAM) or "",
        value_of(node, fmt.PROCESS_PID_FILE) or "",
        must(node, fmt.PROCESS_LEAST),
        value_of(node, fmt.PROCESS_MOST) or 0,
    )


def _tcp(node: Node) -> Probe:
    return monitor.TcpProbe(must(node, fmt.TCP_ADDRESS), must(node, fmt.TCP_PORT))


def _http(node: Node) -> Probe:
    return monitor.HttpProbe(
        must(node, fmt.HTTP_URL),
        must(node, fmt.HTTP_STATUS),
        value_of(node, fmt.HTTP_TEXT) or "",
        value_of(node, fmt.HTTP_DAYS) or 0,
    )


def _check_program(node: Node) -> Probe:
    arguments = value_of(node, fmt.CHECK_ARGUMENTS) or ""
    return monitor.CheckProbe(must(node, fmt.CHECK_PATH), arguments)


def _unit(node: Node) -> Probe:
    return monitor.UnitProbe(must(node, fmt.UNIT_UNIT))


def _ocf(node: Node) -> Probe:
    return monitor.OcfProbe(must(node, fmt.OCF_LEVEL))


def _log(node: Node) -> Probe:
    return monitor.LogProbe(must(node, fmt.LOG_PATH), must(node, fmt.LOG_MATCH))


def _resources(node: Node) -> Probe:
    memory, cpu = value_of(node, fmt.MEMORY), value_of(node, fmt.CPU)
    return monitor.ResourcesProbe(memory or 0, cpu or 0, must(node, fmt.OUT_OF_MEMORY))


def _sql(node: Node) -> Probe:
    client = must(node, fmt.SQL_CLIENT)
    return monitor.SqlProbe(
        client,
        value_of(node, fmt.SQL_DATABASE) or "",
        value_of(node, fmt.SQL_USER) or {"psql": "postgres"}.get(client, ""),
        value_of(node, fmt.SQL_ADDRESS) or "",
        value_of(node, fmt.SQL_PORT) or 0,
        must(node, fmt.SQL_STATEMENT),
    )


_PROBES: Final[Mapping[str, Callable[[Node], Probe]]] = {
    "filesystem": _file_system,
    "process": _process,
    "tcp": _tcp,
    "http": _http,
    "check": _check_program,
    "unit": _unit,
    "ocf": _ocf,
    "log": _log,
    "resources": _resources,
    "sql": _sql,
}
