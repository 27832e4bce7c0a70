"""What an agent says of itself: an XML text that is not trusted."""

from dataclasses import dataclass, field
from xml.parsers import expat

from hapair.model.outcome import Refused


@dataclass(frozen=True, slots=True)
class MetaData:
    parameters: tuple[str, ...]
    actions: tuple[str, ...]

    def knows(self, name: str) -> bool:
        """Tell whether it reads this parameter; agents take ``_`` and ``-`` for the same."""
        return name.replace("-", "_") in {known.replace("-", "_") for known in self.parameters}


@dataclass(slots=True)
class _Reader:
    parameters: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    root: str = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.root = self.root or name
        if name == "parameter" and "name" in attributes:
            self.parameters.append(attributes["name"])
        if name == "action" and "name" in attributes:
            self.actions.append(attributes["name"])


def parse(agent: str, text: str) -> MetaData | Refused:
    """Read the answer to ``action=metadata``. A text that declares entities is refused."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start

    def entity(*_: object) -> None:
        raise ValueError

    parser.EntityDeclHandler = entity
    try:
        parser.Parse(text, True)  # noqa: FBT003 - expat takes it by place only.
    except (expat.ExpatError, ValueError):
        return Refused(f"{agent} describes itself in a form that cannot be read: is it an agent?")
    if reader.root != "resource-agent":
        return Refused(f"{agent} does not describe itself as a fence agent does: is it one?")
    return MetaData(tuple(reader.parameters), tuple(reader.actions))
