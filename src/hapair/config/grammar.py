"""How a format is described: elements, attributes, how often.

One description serves the reader, the schema for editors and the reference documentation.
"""

from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from hapair.config.complaints import Complaints, did_you_mean, nearest
from hapair.config.document import Node, collapsed, shortened, shown
from hapair.config.kinds import Kind, Wrong

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MANY: Final = 1000  # More of one element is no configuration that anybody could review.
LATER: Final = "is not available in this version"
OPEN: Final = "CHANGE:"  # A value that begins so was left to the reader of a draft.


@dataclass(frozen=True, slots=True)
class Attribute(Generic[T_co]):
    name: str
    kind: Kind[T_co]
    about: str
    required: bool = False
    default: str = ""  # As it would be written; empty: nothing is set.
    default_about: str = ""  # For the reference, when the default depends on something.
    later: str = ""  # Not empty: it is not available yet, and refused; says what holds without it.


@dataclass(frozen=True, slots=True)
class Element:
    name: str
    about: str
    attributes: tuple[Attribute[object], ...] = ()
    children: tuple["Child", ...] = ()
    text: Kind[object] | None = None
    alternatives: bool = False  # Exactly one of the children stands here.
    example: str = ""
    later: str = ""  # As with an attribute.
    private: bool = False  # Text in it, or in a tag of it, may be a password: no message shows it.


@dataclass(frozen=True, slots=True)
class Child:
    element: Element
    least: int = 0
    most: int = 1
    unique_by: Attribute[str] | None = None  # No two have the same value of this attribute.


def value_of(node: Node, attribute: Attribute[T]) -> T | None:
    """Return the value of an attribute or of its default; None when it has none or a wrong one."""
    written = node.attributes.get(attribute.name, attribute.default or None)
    if written is None:
        return None
    value = _taken(attribute.kind, written)
    return None if isinstance(value, Wrong) else value


def must(node: Node, attribute: Attribute[T]) -> T:
    """Return the value of an attribute that is known to be there and right."""
    value = value_of(node, attribute)
    if value is None:
        raise ValueError(f"<{node.name}> {attribute.name} was not checked")
    return value


def checked(value: T | Wrong | None) -> T:
    """Return a value that is known to be right."""
    if value is None or isinstance(value, Wrong):
        raise ValueError(f"{value} was not checked")
    return value


def check(node: Node, element: Element, complaints: Complaints) -> Node:
    """Report everything that breaks the grammar; return the node with only what is known."""
    _check_attributes(node, element, complaints)
    _check_text(node, element, complaints)
    known = {child.element.name: child.element for child in element.children}
    kept: list[Node] = []
    misspelt: set[str | None] = set()
    for child in node.children:
        found = known.get(child.name)
        if found is None:
            misspelt.add(_unknown_element(child, element, complaints))
        elif found.later:
            mend = f"remove it; until then {found.later}"
            complaints.error(child.line, f"<{found.name}>", f"it {LATER}", mend)
        else:
            kept.append(check(child, found, complaints))
    _check_counts(node, element, misspelt, complaints)
    return replace(node, children=tuple(kept))


def _taken(kind: Kind[T], written: str) -> T | Wrong:
    if (asked := collapsed(written)).startswith(OPEN):
        what = shown(asked.removeprefix(OPEN).strip())
        return Wrong(f"the draft leaves it open: {what}", f"write {kind.about}")
    return kind.take(written)


def _check_attributes(node: Node, element: Element, complaints: Complaints) -> None:
    known = {attribute.name: attribute for attribute in element.attributes}
    misspelt: set[str | None] = set()
    for name, written in node.attributes.items():
        line, field = node.line_of(name), f"<{element.name}> {shortened(name)}"
        attribute = known.get(name)
        if attribute is None:
            usable = tuple(a.name for a in element.attributes if not a.later)
            mend = did_you_mean(name, usable)
            misspelt.add(nearest(name, usable))
            complaints.error(line, field, "there is no such attribute", mend)
        elif attribute.later:
            complaints.error(line, field, f"it {LATER}", f"remove it; until then {attribute.later}")
        elif isinstance(value := _taken(attribute.kind, written), Wrong):
            complaints.error(line, field, value.what, value.mend)
    for attribute in element.attributes:
        written_somehow = attribute.name in node.attributes or attribute.name in misspelt
        if attribute.required and not written_somehow:
            field = f"<{element.name}> {attribute.name}"
            mend = f'add {attribute.name}="...": {attribute.kind.about}'
            complaints.error(node.line, field, "it is missing", mend)


def _check_text(node: Node, element: Element, complaints: Complaints) -> None:
    field = f"<{element.name}>"
    if element.text is None:
        if node.text:
            text = "its text" if element.private else f"the text {shown(node.text)}"
            what = f"{text} does not belong here"
            mend = "remove it, or make it a comment: <!-- ... -->"
            complaints.error(node.text_line, field, what, mend)
    elif node.children:
        pass  # The element in the place of the text was reported: that is enough.
    elif isinstance(value := _taken(element.text, node.text), Wrong):
        complaints.error(node.text_line or node.line, field, value.what, value.mend)


def _unknown_element(node: Node, parent: Element, complaints: Complaints) -> str | None:
    """Report an unknown element; return the name that it was probably meant to have."""
    usable = tuple(c.element.name for c in parent.children if not c.element.later)
    what = f"<{parent.name}> has no such element"
    if not usable:
        mend = "remove it" if parent.text is None else "write plain text"
    else:
        mend = did_you_mean(node.name, usable)
    complaints.error(node.line, f"<{shortened(node.name)}>", what, mend)
    return nearest(node.name, usable)


def _check_counts(
    node: Node, element: Element, misspelt: set[str | None], complaints: Complaints
) -> None:
    if element.alternatives:
        if not misspelt:
            _check_alternatives(node, element, complaints)
        return
    for child in element.children:
        found, name = node.named(child.element.name), f"<{child.element.name}>"
        if child.unique_by is not None:
            _check_unique(found, child.unique_by, complaints)
        if len(found) < child.least and child.element.name not in misspelt:
            need = "none" if not found else f"only {len(found)}"
            what = f"it needs {_times(child.least)} {name} and has {need}"
            complaints.error(node.line, f"<{element.name}>", what, f"add {child.element.example}")
        elif len(found) > child.most:
            what = f"<{element.name}> may have {_times(child.most)} {name}; this is one too many"
            complaints.error(found[child.most].line, name, what, "remove it")


def _check_unique(
    nodes: tuple[Node, ...], attribute: Attribute[str], complaints: Complaints
) -> None:
    """Report every element whose attribute has the value of an earlier element."""
    first: dict[str, Node] = {}
    for node in nodes:
        name = value_of(node, attribute)
        if name is not None and first.setdefault(name, node) is not node:
            complaints.error(
                node.line_of(attribute.name),
                f"<{node.name}> {attribute.name}",
                f"{shown(name)} stands in line {first[name].line_of(attribute.name)} already",
                "write another one, or remove one of the two",
            )


def _check_alternatives(node: Node, element: Element, complaints: Complaints) -> None:
    known = [child.element.name for child in element.children]
    what = f"exactly one of <{'>, <'.join(known)}> stands in <{element.name}>"
    found = [child for child in node.children if child.name in known]
    if not found:
        mend = f"add {element.children[0].element.example}"
        complaints.error(node.line, f"<{element.name}>", what, mend)
    for surplus in found[1:]:
        complaints.error(surplus.line, f"<{surplus.name}>", what, "remove the others")


def _times(count: int) -> str:
    return {1: "one", 2: "two"}.get(count, str(count))
