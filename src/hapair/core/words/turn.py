"""One step in the making: the state so far and the effects it has asked for."""

from collections.abc import Iterator, Mapping
from dataclasses import fields as fields_of
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final

from hapair.core.words.effects import Act, Do, Effect, Layer, Look, Note, Reply, Severity
from hapair.core.words.item import Item, ItemState
from hapair.core.words.peer import PeerView
from hapair.core.words.rules import Rule
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model.status import Record

_NAMES: Final = tuple(each.name for each in fields_of(NodeState))
_VALUES: Final = attrgetter(*_NAMES)


class Turn:
    """Collects changes during one step; nothing of it outlives the step."""

    def __init__(self, state: NodeState) -> None:
        self.state = state
        self.effects: list[Effect] = []

    def change(self, **fields: Any) -> None:  # noqa: ANN401 - the fields of NodeState
        state = self.state
        for name, value in fields.items():
            now = getattr(state, name)
            if now is not value and now != value:
                # Most changes change nothing: a copy costs, and ``replace`` costs twice as much.
                values: Iterator[Any] = map(fields.get, _NAMES, _VALUES(state))
                self.state = NodeState(*values)
                return

    def change_peer(self, **fields: Any) -> None:  # noqa: ANN401 - the fields of PeerView
        peer: PeerView = replace(self.state.peer, **fields)
        self.change(peer=peer)

    def store(self, **fields: Any) -> None:  # noqa: ANN401 - the fields of Stored
        stored: Stored = replace(self.state.stored, **fields)
        self.change(stored=stored)

    def put_record(self, record: Record) -> None:
        """Replace or add the record of its application, keeping the order of names."""
        others = [r for r in self.state.stored.records if r.application != record.application]
        records = tuple(sorted([*others, record], key=lambda r: r.application))
        self.store(records=records)

    def put_item(self, item: Item, item_state: ItemState) -> None:
        items = self.state.items
        those: Mapping[Item, ItemState] = {**items[item.application], item: item_state}
        self.change(items={**items, item.application: those})

    def item(self, item: Item) -> ItemState:
        return self.state.items[item.application][item]

    def note(
        self, name: str, text: str, application: str = "", severity: Severity = Severity.INFO
    ) -> None:
        self.effects.append(Note(name, text, application, severity))

    def reply(self, request_id: int, text: str, *, accepted: bool) -> None:
        self.effects.append(Reply(request_id, accepted, text))

    def because(self, key: str, rule: Rule[Any, Any], *, note_severity: Severity | None) -> None:
        """Remember which row of a table holds; note it when it changed and deserves a line."""
        if self.state.reasons.get(key) == rule.name:
            return
        self.change(reasons={**self.state.reasons, key: rule.name})
        if note_severity is not None:
            application = key.split("/", maxsplit=1)[0] if "/" in key else ""
            self.note(rule.name, rule.because, application, note_severity)

    def number(self) -> int:
        """Return a fresh effect_id."""
        effect_id = self.state.next_effect_id
        self.change(next_effect_id=effect_id + 1)
        return effect_id

    def act(self, item: Item, do: Do, timeout_s: float, *, despite_peer: bool = False) -> None:
        """Ask for an action on an item and remember that the item is busy."""
        effect_id = self.number()
        self.put_item(item, replace(self.item(item), busy=effect_id, doing=do))
        act = Act(effect_id, do, item.application, item.resource, timeout_s, despite_peer)
        self.effects.append(act)

    def look(self, item: Item) -> None:
        """Ask whether an item is up and remember that the item is busy."""
        effect_id = self.number()
        self.put_item(item, replace(self.item(item), busy=effect_id, doing=None))
        layer: Layer = item.layer
        self.effects.append(Look(effect_id, layer, item.application, item.resource))
