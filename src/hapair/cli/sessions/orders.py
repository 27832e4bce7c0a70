"""What clrunapp, clhaltapp and clmoveapp share: give the order, show the steps, say the end."""

import argparse
from dataclasses import dataclass

from hapair.cli.common import ExitCode, goes_on, print_json
from hapair.cli.sessions.waiting import Ended, Work, ask_only, carry_out
from hapair.rpc.messages import JsonObject


@dataclass(frozen=True, slots=True)
class Order:
    verb: str
    args: JsonObject
    saying: str  # While it goes on, e.g. "starting orders".
    undo: str  # The command that takes it back.


def carry_out_order(options: argparse.Namespace, order: Order) -> int:
    """Give an order about one application and wait for its end, unless that is unwanted."""
    application: str = options.application
    work = Work(order.verb, order.args, order.saying, application, options.timeout)
    ended = _asked(options, order, work)
    if options.json and ended.error is None:
        print_json({"application": application, **ended.content()})
    elif ended.error is None:
        took = "" if options.no_wait else f" ({ended.took_s:.1f} s)"
        print(f"{ended.text}{took}")
    if ended.error is not None:
        raise ended.error
    return int(ExitCode.DONE)


def _asked(options: argparse.Namespace, order: Order, work: Work) -> Ended:
    if options.no_wait:
        return ask_only(work)
    text = f"The daemon goes on {order.saying}; follow: clstat --watch; undo: {order.undo}"
    with goes_on(text):
        return carry_out(work)
