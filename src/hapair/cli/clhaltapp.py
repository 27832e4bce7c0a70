"""clhaltapp: stop an application and wait until it is down."""

import argparse
from collections.abc import Sequence
from typing import Final

from hapair.cli.common import run
from hapair.cli.screen import parsers
from hapair.cli.sessions.orders import Order, carry_out_order

PAGE: Final = parsers.Page(
    name="clhaltapp",
    summary="stop an application and wait until it is down",
    does="""
        The application is stopped on the node that runs it: the program ends, the addresses are
        removed, the file systems are unmounted. Replication goes on, so both copies of the data
        stay equal. It stays halted, over reboots and failures too, until clrunapp starts it.

        A step that does not succeed is followed by a harder one (the stop ladder): the stop
        script gets its time limit, then the application's own processes are ended, then those
        that hold its mounts. Each step is bounded in time and shown.

        What else holds a device of it, a bind mount for example or a mount in the name space of a
        container, is looked for first, and refused by name. With --force the stop goes on and
        ends what it may: processes, other mounts, loop devices.
    """,
    never=(
        "It never ends a process that neither belongs to the application nor holds its mounts.",
        "It never touches other applications or the cluster itself.",
        "It never deletes data.",
    ),
    examples=(
        parsers.Example("clhaltapp orders", "stop orders and keep it stopped"),
        parsers.Example("clhaltapp orders --timeout 30s", "wait at most 30 s; it goes on after it"),
    ),
    see_also=("clrunapp(8)", "clhalt(8)", "clstat(1)"),
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
    args = {"application": name, "force": options.force}
    order = Order("halt", args, saying=f"stopping {name}", undo=f"clrunapp {name}")
    return carry_out_order(options, order)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
