"""What an agent says of itself: an XML text that is not trusted."""

from dataclasses import dataclass

from hapair.model.meta_data import ROOT, Elements, elements
from hapair.model.outcome import Refused


@dataclass(frozen=True, slots=True)
class MetaData:
    parameters: tuple[str, ...]
    actions: tuple[str, ...]

    def knows(self, name: str) -> bool:
        """Tell whether it reads this parameter; agents take ``_`` and ``-`` for the same."""
        return name.replace("-", "_") in {known.replace("-", "_") for known in self.parameters}


def parse(agent: str, text: str) -> MetaData | Refused:
    """Read the answer to ``action=metadata``. A text that declares entities is refused."""
    found = elements(text)
    if found is None:
        return Refused(f"{agent} describes itself in a form that cannot be read: is it an agent?")
    if found[0][0] != ROOT:
        return Refused(f"{agent} does not describe itself as a fence agent does: is it one?")
    return MetaData(_named(found, "parameter"), _named(found, "action"))


def _named(found: Elements, kind: str) -> tuple[str, ...]:
    return tuple(has["name"] for name, has in found if name == kind and "name" in has)
