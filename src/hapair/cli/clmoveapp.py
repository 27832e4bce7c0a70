"""clmoveapp: move a running application to the other node."""

import argparse
from collections.abc import Sequence
from typing import Final

from hapair.cli.common import run
from hapair.cli.screen import parsers
from hapair.cli.sessions.orders import Order, carry_out_order

PAGE: Final = parsers.Page(
    name="clmoveapp",
    summary="move a running application to the other node",
    does="""
        A planned move (switchover): the application is stopped on the node that runs it and
        started on the other one, in this order. Before anything is stopped, the other node is
        checked: it must be together with this one and have UpToDate data. If the start over there
        fails, the application comes back to where it was, and the command says so.

        What else holds a device of it, a bind mount for example or a mount in the name space of a
        container, would keep this node from giving it up. That is looked for first, and refused
        by name. With --force the move goes on and ends what it may: processes, other mounts, loop
        devices; if something is left, the application comes back here.

        The move changes nothing for later: neither the preferred node nor any rule. Moving it
        back is the same command again.
    """,
    never=(
        "It never stops the application when the other node could not take it.",
        "It never loses an acknowledged write: both copies are equal when it hands over.",
        "It leaves no hidden rule behind that would keep the application on a node.",
    ),
    examples=(
        parsers.Example("clmoveapp orders", "to the other node, e.g. before maintenance"),
        parsers.Example("clmoveapp orders --force", "also if something else holds its device"),
        parsers.Example("clmoveapp orders --json", "with each step and its seconds as JSON"),
    ),
    see_also=("clrunapp(8)", "clhalt(8)", "clstat(1)", "clevents(1)"),
)


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    parsers.add_application(made, "the application, as clstat names it")
    parsers.add_force(made)
    parsers.add_waiting(made)
    parsers.add_json(made)
    return made


def body(options: argparse.Namespace) -> int:
    name = options.application
    order = Order(
        "move",
        {"application": name, "force": options.force},
        saying=f"moving {name} to the other node",
        undo=f"clmoveapp {name}, once it runs there",
    )
    return carry_out_order(options, order)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
