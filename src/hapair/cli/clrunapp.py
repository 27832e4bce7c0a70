"""clrunapp: start an application and wait until it runs."""

import argparse
from collections.abc import Sequence
from typing import Final

from hapair.cli.common import run
from hapair.cli.screen import parsers
from hapair.cli.sessions.orders import Order, carry_out_order
from hapair.rpc.messages import JsonObject

PAGE: Final = parsers.Page(
    name="clrunapp",
    summary="start an application and wait until it runs",
    does="""
        The application starts on its preferred node if that node is there and has current data,
        else on the other one; --node chooses. The order of a start is: make the data Primary,
        mount it, add the addresses and announce them, start the program. Each step is shown with
        the seconds since the command was given.

        It may be given on either node, and again at any time: what already runs is left alone.
        It also forgives failed starts: an application that failed on a node is tried there again.
    """,
    never=(
        "It never moves an application that runs: that is what clmoveapp does.",
        "It never makes data Primary that is not UpToDate, or that the other node may be writing.",
        "It never starts an application on both nodes.",
    ),
    examples=(
        parsers.Example("clrunapp orders", "start orders where it prefers to run"),
        parsers.Example("clrunapp orders --node node2", "start it on node2"),
        parsers.Example("clrunapp orders --no-wait", "only give the order, e.g. from a script"),
    ),
    see_also=("clhaltapp(8)", "clmoveapp(8)", "clstat(1)", "clevents(1)"),
)


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    parsers.add_application(made, "the application, as clstat names it")
    parsers.add_node(made, "start it on this node (default: the preferred one, if it can)")
    parsers.add_waiting(made)
    parsers.add_json(made)
    return made


def body(options: argparse.Namespace) -> int:
    name = options.application
    args: JsonObject = {"application": name}
    if options.node:
        args["node"] = options.node
    order = Order("run", args, saying=f"starting {name}", undo=f"clhaltapp {name}")
    return carry_out_order(options, order)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
