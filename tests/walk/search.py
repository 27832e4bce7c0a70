"""Breadth first through every situation that can be reached with so many faults."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from hapair.core.invariants import BrokenInvariantError
from hapair.core.words.events import Command, Form, Introduce, Move
from hapair.core.words.stored import Stored
from hapair.model.status import Standing, Wanted
from tests.checkers.rules import BrokenRuleError
from tests.sim.machine import Core
from tests.sim.run import CORE
from tests.sim.settings import NODES
from tests.walk import promise, rules
from tests.walk.copies import Frozen, fresh_copies, thaw
from tests.walk.cores import Cores
from tests.walk.faults import Happening, happenings
from tests.walk.moment import Moment
from tests.walk.numbers import Numbers, Pool
from tests.walk.place import (
    BOX_VALUES,
    OUTSIDE_VALUES,
    Box,
    Outside,
    Situation,
)
from tests.walk.settings import FORM_S, NAME, Kind
from tests.walk.turns import Turn

BOOT_ID: Final = "this boot"
BROKEN: Final = (BrokenRuleError, BrokenInvariantError)


def _somebody_asked(moment: Moment) -> None:
    moment.outside.commanded = True


STILL: Final = Happening("", 0, lambda _: True)
ASKED: Final = Happening("", 0, lambda _: True, _somebody_asked)
BEGINS_WITHIN: Final = 200  # Turns until a new cluster runs its application.
Reached = tuple[Situation, str]  # From where, and by what.


@dataclass(frozen=True, slots=True)
class Broken:
    what: str
    story: tuple[str, ...]


@dataclass(slots=True)
class Figures:
    kind: str
    faults: int
    only: tuple[str, ...] = ()
    states: int = 0
    transitions: int = 0
    depth: int = 0
    took_s: float = 0.0
    complete: bool = False  # Nothing new was left to reach.
    core_states: int = 0
    core_steps: int = 0
    broken: Broken | None = None

    def line(self) -> str:
        which = f" of {', '.join(self.only)}" if self.only else ""
        bound = f"all that {self.faults} fault(s){which} can reach"
        if not self.complete:
            bound += f" within {self.depth} turns"
        return (
            f"{self.kind:16} {self.states:9} states {self.transitions:10} transitions "
            f"depth {self.depth:4} {self.took_s:7.1f} s: {bound}"
        )


class Walk:
    def __init__(self, kind: Kind, core: Core = CORE, only: tuple[str, ...] = ()) -> None:
        """Let only those faults happen whose text has one of the words; empty: all of them."""
        self.kind = kind
        self.only = only
        self.pool = Pool()  # Numbers of what the nodes store and say.
        self.cores = Cores(CORE, kind.built(), self.pool, BOOT_ID)
        self.boxes: Numbers[tuple[Any, ...]] = Numbers()
        self.copies: Numbers[Frozen] = Numbers()
        self.outsides: Numbers[tuple[Any, ...]] = Numbers()
        self.happenings = tuple(
            each
            for each in happenings(kind)
            if not (each.costs and only) or any(word in each.text for word in only)
        )
        self.begins = self._begins()
        if core is not CORE:
            self.cores.replace_by(core)  # The cluster was formed by the real one.

    # --- Situations and moments ----------------------------------------------------------------

    def lay_out(self, situation: Situation) -> Moment:
        first, second, frozen, outside, turn = situation
        return Moment(
            self.kind,
            self.cores,
            (Box(*self.boxes[first]), Box(*self.boxes[second])),
            thaw(self.copies[frozen]) if self.kind.has_data else None,
            Outside(*self.outsides[outside]),
            turn,
        )

    def put_away(self, moment: Moment) -> Situation:
        first, second = moment.boxes
        return Situation(
            self.boxes.put(BOX_VALUES(first)),
            self.boxes.put(BOX_VALUES(second)),
            self.copies.put(moment.copies.freeze()) if moment.copies is not None else 0,
            self.outsides.put(OUTSIDE_VALUES(moment.outside)),
            moment.turn,
        )

    def next_of(
        self, situation: Situation, happening: Happening, commands: tuple[Command, ...] = ()
    ) -> Situation:
        """Let something happen, then one node take its turn.

        Raises:
            BrokenRuleError, BrokenInvariantError: something was broken.
        """
        moment = self.lay_out(situation)
        promise.remember(moment, happening)
        happening.happen(moment)
        if happening.command is not None:
            commands = (*commands, happening.command)
        Turn(moment, commands).take(early=happening.early)
        promise.pass_time(moment)
        return self.put_away(moment)

    def possible(self, situation: Situation, faults_left: int) -> list[Happening]:
        moment = self.lay_out(situation)
        return [
            each
            for each in self.happenings
            if each.costs <= faults_left and each.possible(moment) and promise.allows(moment, each)
        ]

    # --- Where it begins -----------------------------------------------------------------------

    def empty(self) -> Situation:
        """Return two nodes without power, whose disks were never used."""
        cluster = self.cores.built.cluster
        count = len(cluster.witnesses)
        outside = Outside(
            servers=((0, ""),) * count,
            reached=((True,) * count,) * 2,
        )
        nothing = self.pool.put(Stored())
        boxes = (Box(disk=nothing), Box(disk=nothing))
        copies = thaw(fresh_copies()) if self.kind.has_data else None
        return self.put_away(Moment(self.kind, self.cores, boxes, copies, outside, 0))

    def _begins(self) -> tuple[Situation, Situation]:
        """Return a formed cluster that runs its application on the first, and on the other node."""
        situation = self._run(self.empty(), {2: Form(timeout_s=FORM_S), 3: Form(timeout_s=FORM_S)})
        situation = self._run(situation, {0: Introduce(NAME, Wanted.UP)})
        self._check_begin(situation, 0)
        moved = self._run(situation, {situation.turn: Move(NAME)})  # Typed on node1.
        self._check_begin(moved, 1)
        return situation, moved

    def _run(self, situation: Situation, typed: dict[int, Command]) -> Situation:
        """Let turns pass until they go round in a circle; return where it is entered."""
        seen: set[Situation] = set()
        for number in range(BEGINS_WITHIN):
            if number > max(typed) and situation in seen:
                return self._forgotten(situation)
            seen.add(situation)
            commands = (typed[number],) if number in typed else ()
            situation = self.next_of(situation, ASKED if commands else STILL, commands)
            if self._resyncing(situation):
                situation = self.next_of(situation, self.happenings[1])
        raise AssertionError("the cluster does not come to rest")

    def _forgotten(self, situation: Situation) -> Situation:
        """Return the situation as if nobody had ever typed anything."""
        moment = self.lay_out(situation)
        moment.outside.commanded = False
        return self.put_away(moment)

    def _resyncing(self, situation: Situation) -> bool:
        return self.happenings[1].possible(self.lay_out(situation))

    def _check_begin(self, situation: Situation, index: int) -> None:
        moment = self.lay_out(situation)
        standings = [self.cores[box.core].standing for box in moment.boxes]
        served = [rules.serves(box) for box in moment.boxes]
        assert standings == [Standing.TOGETHER] * 2, standings
        assert served == [index == 0, index == 1], served


@dataclass(slots=True)
class Search:
    walk: Walk
    faults: int
    depth_max: int | None = None
    limit_s: float | None = None
    left: dict[Situation, int] = field(default_factory=dict)  # Faults left when it was reached.
    origins: dict[Situation, Reached | None] = field(default_factory=dict)

    def run(self) -> Figures:
        begin_s = time.perf_counter()
        walk = self.walk
        figures = Figures(walk.kind.name, self.faults, walk.only)
        frontier: deque[Situation] = deque()
        frontier.extend(walk.begins)
        self.left.update(dict.fromkeys(frontier, self.faults))
        self.origins.update(dict.fromkeys(frontier))
        while frontier and not self._is_over(figures, begin_s):
            frontier = self._next_level(frontier, figures)
            figures.depth += bool(frontier)
        figures.complete = not frontier
        figures.states = len(self.left)
        figures.took_s = time.perf_counter() - begin_s
        figures.core_states, figures.core_steps = len(walk.cores), walk.cores.steps
        return figures

    def _is_over(self, figures: Figures, begin_s: float) -> bool:
        late = self.limit_s is not None and time.perf_counter() - begin_s > self.limit_s
        deep = self.depth_max is not None and figures.depth >= self.depth_max
        return late or deep or figures.broken is not None

    def _next_level(self, frontier: deque[Situation], figures: Figures) -> deque[Situation]:
        following: deque[Situation] = deque()
        for situation in frontier:
            for happening, left in self._choices(situation):
                figures.transitions += 1
                try:
                    after = self.walk.next_of(situation, happening)
                except BROKEN as error:
                    what = f"{type(error).__name__}: {error}"
                    last = self.in_words(situation, happening.text)
                    story = (*self.story(situation), last, what)
                    figures.broken = Broken(what, story)
                    return following
                known = self.left.get(after)
                if known is None or known < left:
                    self.left[after] = left
                    self.origins[after] = (situation, happening.text)
                    following.append(after)
        return following

    def _choices(self, situation: Situation) -> Iterator[tuple[Happening, int]]:
        left = self.left[situation]
        yield STILL, left
        for happening in self.walk.possible(situation, left):
            yield happening, left - happening.costs

    @staticmethod
    def in_words(situation: Situation, text: str) -> str:
        turn = f"{NODES[situation.turn]} takes its turn"
        return f"{text}; {turn}" if text else turn

    def story(self, situation: Situation) -> list[str]:
        """Return what happened until a situation, with the turns that passed between."""
        words: list[str] = []
        origin = self.origins[situation]
        while origin is not None:
            before, text = origin
            words.append(self.in_words(before, text))
            origin = self.origins[before]
        return words[::-1]
