"""What an agent says of itself, in the form of OCF and fence agents: XML that is not trusted."""

from collections.abc import Mapping
from typing import Final, TypeAlias
from xml.parsers import expat

ROOT: Final = "resource-agent"
Elements: TypeAlias = tuple[tuple[str, Mapping[str, str]], ...]


def elements(text: str) -> Elements | None:
    """Return the names and attributes of all elements, the outermost one first.

    None for what is no XML, and for what declares entities: none is ever resolved.
    """
    found: list[tuple[str, Mapping[str, str]]] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, attributes: found.append((name, attributes))

    def entity(*_: object) -> None:
        raise ValueError

    parser.EntityDeclHandler = entity
    try:
        parser.Parse(text, True)  # noqa: FBT003 - expat takes it by place only.
    except (expat.ExpatError, ValueError):
        return None
    return tuple(found)
