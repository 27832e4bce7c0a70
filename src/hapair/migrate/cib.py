"""Pacemaker's configuration as XML: ``cibadmin --query``, cib.xml."""

from typing import Final

from hapair.config.document import Bounds, Node, parse
from hapair.migrate.lines import Place, Source, UnreadableError
from hapair.migrate.pacemaker_words import (
    Bond,
    Clone,
    Group,
    Location,
    Operation,
    Other,
    Pacemaker,
    Primitive,
    Setting,
)
from hapair.model.problem import Problem

# The section <status> of a large cluster is long; nothing of it is used.
BOUNDS: Final = Bounds(bytes_max=16 << 20, elements_max=200_000, nesting_max=24)
SETTINGS: Final = {
    "crm_config": "property",
    "rsc_defaults": "rsc_defaults",
    "op_defaults": "op_defaults",
}


def read_cib(source: Source) -> Pacemaker:
    """Return what a CIB says; UnreadableError."""
    root = parse(source.content, file=source.name, bounds=BOUNDS)
    if isinstance(root, Problem):
        file, _, line = root.where.rpartition(":")
        raise UnreadableError(Place(file, int(line)), f"{root.field}: {root.what}", root.mend)
    return _Reader(source.name).read(root)


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file
        self._found = Pacemaker()

    def read(self, root: Node) -> Pacemaker:
        found = next((each for each in _below(root) if each.name == "configuration"), None)
        if found is None:
            what = f"<{root.name}> holds no <configuration>"
            mend = "give what cibadmin --query prints"
            raise UnreadableError(self._place(root), what, mend)
        for section in found.children:
            if section.name in SETTINGS:
                self._settings(section)
            elif section.name == "nodes":
                for node in section.named("node"):
                    name = node.attributes.get("uname") or node.attributes.get("id", "")
                    self._found.nodes[name] = self._place(node)
            elif section.name == "resources":
                for resource in section.children:
                    self._resource(resource)
            elif section.name == "constraints":
                for constraint in section.children:
                    self._constraint(constraint)
            elif section.children:
                self._other(section)
        return self._found

    def _place(self, node: Node) -> Place:
        return Place(self._file, node.line)

    def _other(self, node: Node) -> None:
        name = node.attributes.get("id", "")
        self._found.others.append(Other(f"{node.name} {name}".strip(), self._place(node)))

    def _settings(self, section: Node) -> None:
        for pair in _below(section):
            if pair.name == "nvpair":
                name, value = pair.attributes.get("name", ""), pair.attributes.get("value", "")
                setting = Setting(SETTINGS[section.name], name, value, self._place(pair))
                self._found.settings.append(setting)

    def _resource(self, node: Node) -> str:
        """Take a resource over and return its name."""
        name, place = node.attributes.get("id", ""), self._place(node)
        match node.name:
            case "primitive" | "template":
                self._found.primitives[name] = self._primitive(node, name, place)
            case "group":
                members = tuple(self._resource(each) for each in _resources_in(node))
                meta = _pairs(node, "meta_attributes")
                self._found.groups[name] = Group(name, place, members, meta)
            case "clone" | "master":
                inner = [self._resource(each) for each in _resources_in(node)]
                meta = _pairs(node, "meta_attributes")
                promotable = node.name == "master" or meta.get("promotable") == "true"
                clone = Clone(name, place, inner[0] if inner else "", promotable)
                self._found.clones[name] = clone
            case _:
                self._other(node)
        return name

    def _primitive(self, node: Node, name: str, place: Place) -> Primitive:
        words = (node.attributes.get(each, "") for each in ("class", "provider", "type"))
        operations = tuple(
            Operation(each.attributes.get("name", ""), dict(each.attributes), self._place(each))
            for holder in node.named("operations")
            for each in holder.named("op")
        )
        return Primitive(
            name,
            place,
            ":".join(each for each in words if each),
            _pairs(node, "instance_attributes"),
            _pairs(node, "meta_attributes"),
            operations,
            node.attributes.get("template", ""),
        )

    def _constraint(self, node: Node) -> None:
        name, place, said = node.attributes.get("id", ""), self._place(node), node.attributes
        in_sets = [
            each.attributes.get("id", "")
            for holder in node.named("resource_set")
            for each in holder.named("resource_ref")
        ]
        match node.name:
            case "rsc_location":
                location = Location(
                    name, place, said.get("rsc", ""), said.get("node", ""), said.get("score", "")
                )
                self._found.locations.append(location)
            case "rsc_colocation":
                score = said.get("score", "INFINITY")
                pair = [said[each] for each in ("rsc", "with-rsc") if each in said]
                roles = tuple(said[e] for e in ("rsc-role", "with-rsc-role") if e in said)
                bond = Bond(name, place, score, tuple(pair or in_sets), roles)
                self._found.colocations.append(bond)
            case "rsc_order":
                score = said.get("kind") or said.get("score", "Mandatory")
                pair = [said[each] for each in ("first", "then") if each in said]
                self._found.orders.append(Bond(name, place, score, tuple(pair or in_sets)))
            case _:
                self._other(node)


def _below(node: Node) -> list[Node]:
    """Return a node and all that is in it; the nesting is bounded by the reader."""
    return [node, *(each for child in node.children for each in _below(child))]


def _resources_in(node: Node) -> list[Node]:
    return [each for each in node.children if each.name in {"primitive", "group"}]


def _pairs(node: Node, section: str) -> dict[str, str]:
    """Return the names and values of a resource, of the first set the first ones."""
    found: dict[str, str] = {}
    for holder in node.named(section):
        for pair in holder.named("nvpair"):
            found.setdefault(pair.attributes.get("name", ""), pair.attributes.get("value", ""))
    return found
