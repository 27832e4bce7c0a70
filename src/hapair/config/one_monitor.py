"""One monitor by its kind and its keys, as lemsctl takes it: the grammar is that of appconf.xml."""

from collections.abc import Mapping
from typing import Final
from xml.sax.saxutils import quoteattr

from hapair.config import format_monitors as fmt
from hapair.config import monitors
from hapair.config.complaints import Complaints, did_you_mean
from hapair.config.document import Node, shown
from hapair.config.grammar import Element, check
from hapair.config.kinds import Wrong
from hapair.model.application import Application, OcfAgent
from hapair.model.monitor import Monitor

ELEMENTS: Final[Mapping[str, Element]] = {
    child.element.name: child.element for child in fmt.MONITORS.children
}


def keys_of(kind: str) -> tuple[str, ...]:
    return tuple(attribute.name for attribute in ELEMENTS[kind].attributes)


def read_monitor(kind: str, keys: Mapping[str, str], application: Application) -> Monitor | Wrong:
    """Return the monitor, or the first thing that is wrong with it."""
    if kind not in ELEMENTS:
        mend = f"the kinds: {', '.join(ELEMENTS)}"
        return Wrong(f"there is no kind {shown(kind)} of monitors", mend)
    for key in keys:
        if key not in keys_of(kind):
            mend = did_you_mean(key, keys_of(kind))
            return Wrong(f"{kind} has no key {shown(key)}", f"{mend}; its keys: {_listed(kind)}")
    node = Node(kind, 1, dict(keys), {})
    complaints = Complaints("")
    root = Node("application", 1, {}, {}, (*_around(application), _parent(node)))
    check(node, ELEMENTS[kind], complaints)
    if not complaints.any_error:
        monitors.check(root, complaints)
    for problem in complaints.problems():
        key = problem.field.removeprefix(f"<{kind}>").strip()
        what = f"{key}: {problem.what}" if key else problem.what
        return Wrong(what, f"{problem.mend}; its keys: {_listed(kind)}")
    (found,) = monitors.build(root).each
    return found


def as_element(kind: str, keys: Mapping[str, str]) -> str:
    """Return how it is written in appconf.xml."""
    return f"<{kind}{''.join(f' {key}={quoteattr(value)}' for key, value in keys.items())}/>"


def _parent(node: Node) -> Node:
    return Node("monitors", 1, {}, {}, (node,))


def _around(application: Application) -> tuple[Node, ...]:
    """Return of an application what its monitors may need."""
    ocf = (Node("ocf", 1, {}, {}),) if isinstance(application.program, OcfAgent) else ()
    run = () if application.program is None else (Node("run", 1, {}, {}, ocf),)
    return (*(Node("volumegroup", 1, {}, {}) for _ in application.volume_groups[:1]), *run)


def _listed(kind: str) -> str:
    return ", ".join(
        f"{each.name} (needed)" if each.required else each.name
        for each in ELEMENTS[kind].attributes
    )
