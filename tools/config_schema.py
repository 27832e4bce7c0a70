"""Write the XML schemas of the configuration from its description in ``hapair.config``.

Editors use them to complete and to check while one types. What they cannot say (two networks in
one subnet, a card in two networks, ...) clbuild says. Run: python tools/config_schema.py
"""

from pathlib import Path
from typing import Final

from lxml import etree

from hapair.config.format_appconf import APPLICATION
from hapair.config.format_clconf import CLUSTER
from hapair.config.format_clstart import CLSTART
from hapair.config.grammar import Attribute, Child, Element
from hapair.config.kinds import Kind

FOLDER: Final = Path(__file__).parents[1] / "src/hapair/config/schema"
FORMATS: Final = {"clconf": CLUSTER, "appconf": APPLICATION, "clstart": CLSTART}
NAMESPACE: Final = "http://www.w3.org/2001/XMLSchema"
WRITTEN_BY: Final = " Written by tools/config_schema.py from the description in hapair.config. "


def schema(root: Element) -> bytes:
    """Return the schema of the file whose outermost element is ``root``."""
    top = etree.Element(f"{{{NAMESPACE}}}schema", nsmap={"xs": NAMESPACE})
    top.append(etree.Comment(WRITTEN_BY))
    _element(top, root)
    etree.indent(top)
    return etree.tostring(top, xml_declaration=True, encoding="UTF-8") + b"\n"


def _add(parent: etree._Element, kind: str, /, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{NAMESPACE}}}{kind}", attributes)


def _annotate(parent: etree._Element, about: str) -> None:
    _add(_add(parent, "annotation"), "documentation").text = about.replace("`", "")


def _element(parent: etree._Element, element: Element, /, **attributes: str) -> None:
    made = _add(parent, "element", name=element.name, **attributes)
    _annotate(made, element.about)
    if element.text is not None:
        _simple_type(made, element.text)
        return
    content = _add(made, "complexType")
    children = tuple(child for child in element.children if not child.element.later)
    if children:
        _children(content, children, alternatives=element.alternatives)
    for attribute in element.attributes:
        if not attribute.later:
            _attribute(content, attribute)
    for child in children:
        if child.unique_by is not None:
            unique = _add(made, "unique", name=f"{element.name}.{child.element.name}")
            _add(unique, "selector", xpath=child.element.name)
            _add(unique, "field", xpath=f"@{child.unique_by.name}")


def _children(content: etree._Element, children: tuple[Child, ...], *, alternatives: bool) -> None:
    """Allow elements in any order; a schema can limit how often only where each stands once."""
    if alternatives:
        group, bounds = _add(content, "choice"), {}
    elif all(child.most == 1 for child in children):
        group, bounds = _add(content, "all"), {"minOccurs": "0"}
    else:
        least = "1" if any(child.least for child in children) else "0"
        group = _add(content, "choice", minOccurs=least, maxOccurs="unbounded")
        bounds = {}
    for child in children:
        _element(group, child.element, **bounds)


def _attribute(content: etree._Element, attribute: Attribute[object]) -> None:
    bounds = {"use": "required"} if attribute.required else {}
    if attribute.default and not attribute.default_about:
        bounds["default"] = attribute.default
    made = _add(content, "attribute", name=attribute.name, **bounds)
    _annotate(made, attribute.about)
    _simple_type(made, attribute.kind)


def _simple_type(parent: etree._Element, kind: Kind[object]) -> None:
    base = "xs:string" if kind.free else "xs:token"
    made = _add(_add(parent, "simpleType"), "restriction", base=base)
    for choice in kind.choices:
        _add(made, "enumeration", value=choice)
    if kind.pattern:
        _add(made, "pattern", value=kind.pattern)
    if kind.length_max is not None:
        _add(made, "maxLength", value=str(kind.length_max))


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, root in FORMATS.items():
        (FOLDER / f"{name}.xsd").write_bytes(schema(root))


if __name__ == "__main__":
    main()
