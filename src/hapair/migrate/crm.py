"""Pacemaker's configuration in the words of the crm shell: ``crm configure show``."""

from collections.abc import Callable, Iterator
from typing import Final

from hapair.config.document import shown
from hapair.migrate.lines import Line, Place, Source, UnreadableError, lines_of, words_of
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

SECTIONS: Final = frozenset(
    {"params", "meta", "operations", "utilization", "attributes", "op", "op_params", "op_meta"}
)
SETTINGS: Final = frozenset({"property", "rsc_defaults", "op_defaults"})
# Known to the crm shell, and to nothing here.
OTHERS: Final = frozenset(
    {"acl_group", "acl_target", "alert", "bundle", "fencing_topology", "monitor", "role",
     "rsc_ticket", "schema", "tag", "user", "xml"}
)  # fmt: skip
BRACKETS: Final = frozenset("()[]")
LEAST: Final = {"location": 3, "colocation": 4, "collocation": 4, "order": 4, "group": 3}


def read_crm(source: Source) -> Pacemaker:
    """Return what a text for the crm shell says; UnreadableError."""
    reader = _Reader()
    for line in lines_of(source, continued="\\"):
        words = [each.text for each in words_of(line, comments="#")]
        if words:
            reader.take(line, words)
    return reader.found


class _Reader:
    def __init__(self) -> None:
        self.found = Pacemaker()

    def take(self, line: Line, words: list[str]) -> None:
        keyword = words[0]
        if keyword in SETTINGS:
            for name, value in _pairs(words[1:]).items():
                if not name.startswith("$"):
                    self.found.settings.append(Setting(keyword, name, value, line.place))
            return
        takers: dict[str, Callable[[str, Place, list[str]], None]] = {
            "primitive": self._primitive,
            "rsc_template": self._primitive,
            "group": self._group,
            "clone": self._clone,
            "ms": self._promotable,
            "master": self._promotable,
            "location": self._location,
            "colocation": self._colocation,
            "collocation": self._colocation,
            "order": self._order,
        }
        if keyword == "node":
            self._node(line.place, words)
        elif taker := takers.get(keyword):
            if len(words) < LEAST.get(keyword, 3):
                what = f"{keyword} is not complete"
                mend = "give the whole text that crm configure show prints"
                raise UnreadableError(line.place, what, mend)
            taker(words[1], line.place, words[2:])
        elif keyword in OTHERS:
            self.found.others.append(Other(" ".join(words[:2]), line.place))
        else:
            # What stands behind "=" may be a password.
            what = f"{shown(keyword.partition('=')[0])} begins no statement of the crm shell"
            mend = "give what crm configure show prints; lines go on after a \\ at their end"
            raise UnreadableError(line.place, what, mend)

    def _node(self, place: Place, words: list[str]) -> None:
        names = [each for each in words[1:] if not each.startswith("$") and "=" not in each]
        if not names:
            raise UnreadableError(place, "node has no name", "write it: node NAME")
        name = names[1] if names[0].endswith(":") and len(names) > 1 else names[0]
        if ":" in name:
            name = name.rpartition(":")[2]
        self.found.nodes[name] = place

    def _primitive(self, name: str, place: Place, words: list[str]) -> None:
        agent, rest = words[0], words[1:]
        template = agent[1:] if agent.startswith("@") else ""
        sections = list(_sections(rest))
        operations = tuple(
            Operation(given[0], _pairs(given[1:]), place)
            for section, given in sections
            if section == "op" and given
        )
        self.found.primitives[name] = Primitive(
            name,
            place,
            "" if template else _whole(agent),
            _of(sections, "params"),
            _of(sections, "meta"),
            operations,
            template,
        )

    def _group(self, name: str, place: Place, words: list[str]) -> None:
        members = []
        for word in words:
            if word in SECTIONS or "=" in word:
                break
            members.append(word)
        meta = _of(list(_sections(words[len(members) :])), "meta")
        self.found.groups[name] = Group(name, place, tuple(members), meta)

    def _clone(self, name: str, place: Place, words: list[str]) -> None:
        meta = _of(list(_sections(words[1:])), "meta")
        promotable = meta.get("promotable") == "true"
        self.found.clones[name] = Clone(name, place, words[0], promotable)

    def _promotable(self, name: str, place: Place, words: list[str]) -> None:
        self.found.clones[name] = Clone(name, place, words[0], promotable=True)

    def _location(self, name: str, place: Place, words: list[str]) -> None:
        resource, rest = words[0], [each for each in words[1:] if "=" not in each]
        score, node = "", ""
        if rest and rest[0].endswith(":"):
            score, node = rest[0].rstrip(":"), rest[1] if len(rest) > 1 else ""
        elif rest and rest[0] != "rule":
            score, _, node = rest[0].partition(":")
        self.found.locations.append(Location(name, place, resource, node, score))

    def _colocation(self, name: str, place: Place, words: list[str]) -> None:
        self.found.colocations.append(_bond(name, place, words))

    def _order(self, name: str, place: Place, words: list[str]) -> None:
        self.found.orders.append(_bond(name, place, words))


def _whole(agent: str) -> str:
    """Return an agent with the class and the provider that the shell assumes."""
    return agent if ":" in agent else f"ocf:heartbeat:{agent}"


def _bond(name: str, place: Place, words: list[str]) -> Bond:
    score = "INFINITY"
    if words[0].endswith(":"):
        score, words = words[0].rstrip(":"), words[1:]
    plain = ["".join(each for each in word if each not in BRACKETS) for word in words]
    resources, roles = [], []
    for word in plain:
        if word and "=" not in word:
            resource, _, role = word.partition(":")
            resources.append(resource)
            roles += [role] if role else []
    return Bond(name, place, score, tuple(resources), tuple(roles))


def _pairs(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if sign:
            found.setdefault(name, value)
    return found


def _sections(words: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each section with its words; those before the first one are parameters."""
    section, given = "params", list[str]()
    for word in words:
        if word in SECTIONS:
            yield section, given
            section, given = word, []
        else:
            given.append(word)
    yield section, given


def _of(sections: list[tuple[str, list[str]]], wanted: str) -> dict[str, str]:
    return _pairs([word for section, given in sections if section == wanted for word in given])
