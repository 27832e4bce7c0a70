"""clrunapp: start an application and wait until it runs."""

import argparse
from collections.abc import Sequence
from typing import Final

from hapair.cli.common import ExitCode, run
from hapair.cli.screen import parsers
from hapair.cli.sessions.orders import Order, carry_out_order
from hapair.rpc.messages import JsonObject, RpcError

PAGE: Final = parsers.Page(
    name="clrunapp",
    summary="start an application and wait until it runs",
    does="""
        The application starts on its preferred node if that node is there and has current data,
        else on the other one; --node chooses. The order of a start is: make the data Primary,
        mount it, add the addresses and announce them, start the program. Each step is shown with
        the seconds since the command was given.

        It may be given on either node, and again at any time: what already runs is left alone.
        It also forgives failures: an application that failed on a node is tried there again.

        --clear only forgets them, on both nodes, and returns at once: what rests because its
        monitors found it failed on both is tried again by itself, restarts are counted anew, and
        what is configured to fall back may do so. It starts nothing that is halted.
    """,
    never=(
        "It never moves an application that runs: that is what clmoveapp does.",
        "It never makes data Primary that is not UpToDate, or that the other node may be writing.",
        "It never starts an application on both nodes.",
    ),
    examples=(
        parsers.Example("clrunapp orders", "start orders where it prefers to run"),
        parsers.Example("clrunapp orders --node node2", "start it on node2"),
        parsers.Example("clrunapp orders --clear", "forget what failed, e.g. after it was mended"),
        parsers.Example("clrunapp orders --no-wait", "only give the order, e.g. from a script"),
    ),
    see_also=("clhaltapp(8)", "clmoveapp(8)", "clstat(1)", "clevents(1)"),
)


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    parsers.add_application(made, "the application, as clstat names it")
    parsers.add_node(made, "start it on this node (default: the preferred one, if it can)")
    made.add_argument(
        "--clear", action="store_true", help="only forget on which nodes it failed, and how often"
    )
    parsers.add_waiting(made)
    parsers.add_json(made)
    return made


def body(options: argparse.Namespace) -> int:
    name = options.application
    args: JsonObject = {"application": name}
    if options.clear:
        if options.node:
            raise RpcError(
                "--clear forgets what failed on both nodes",
                f"clrunapp {name} --clear",
                exit_code=ExitCode.USAGE,
            )
        order = Order("clear", args, saying=f"forgetting what failed of {name}", undo="")
        return carry_out_order(options, order)
    if options.node:
        args["node"] = options.node
    order = Order("run", args, saying=f"starting {name}", undo=f"clhaltapp {name}")
    return carry_out_order(options, order)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
