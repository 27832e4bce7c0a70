"""clconfirm: a person states that the peer is down, or that a copy of the data is good."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from hapair.cli.common import ExitCode, ask, call, patience_s, print_json, run
from hapair.cli.pages.asking import ask_status
from hapair.cli.pages.attention import UNPROVEN, WRITTEN
from hapair.cli.pages.loss import (
    Loss,
    contact_lines,
    data_lines,
    generation_line,
    outcome_lines,
    price_lines,
    read_loss,
)
from hapair.cli.pages.render_status import STANDINGS, ago_text
from hapair.cli.pages.status import NodeStatus, Status
from hapair.cli.screen import parsers
from hapair.cli.screen.reading import Reader
from hapair.cli.screen.terminal import Style, filled, paint_for
from hapair.rpc.messages import RpcError

STATEMENT: Final = "peer-is-down"
GOOD: Final = "copy-is-good"
WAITING: Final = ("cut", "forming")
CONFIRM_S: Final = 30.0
LOSS_MEMBERS: Final = (
    "wall_s", "networks", "generation", "peer_generation", "applications",
)  # fmt: skip

PAGE: Final = parsers.Page(
    name="clconfirm",
    summary="state that the peer is off, or that a copy of the data is good",
    does="""
        Needed when the peer is silent and nothing else can prove that it is down: arbitration by
        operator, a single network, or a start with the peer missing. The command shows when the
        peer was heard last on each network and by DRBD, until when the copies were equal, what is
        known to be missing here, which applications would start or stay down, and for each one
        line with what might be lost. Then it asks for the peer's name to be typed. The history
        keeps these lines.

        Make sure first that the peer is off: switch it off, or pull its power cables. A peer that
        runs unheard and goes on writing would leave two different copies of the data. After the
        statement this node takes the right to act alone and starts the applications whose copy
        here is current.

        The other statement, copy-is-good, is needed when somebody wrote to the volume of an
        application behind DRBD, e.g. mounted it while the node was halted, and the peer has no
        current copy to replace it. The command shows who did that, as far as it is known, and
        wants the name of this node typed. The copy is used as it is then, with what was written
        to it, and all of the peer's copy is replaced by it when the nodes meet. It is also said of
        a copy that nobody wrote to, when it may miss writes and the peer's copy, which could tell,
        was written behind DRBD or has no disk any more, or is down because the peer is halted:
        there clform is better, nothing is lost then. The command shows since when writes might be
        missing. The nodes may be together meanwhile.
    """,
    never=(
        "It never switches the peer off: that is what you state to have done.",
        (
            "It never accepts the statement while the peer answers on any network, or while its"
            " kernel answers on a replication link."
        ),
        "It never uses a copy of the data that is known to miss writes.",
        (
            "It never uses a copy that was written behind DRBD while the peer has a current one:"
            " that replaces it by itself."
        ),
    ),
    examples=(
        parsers.Example("clconfirm peer-is-down", "look at what is shown, then type the name"),
        parsers.Example("clconfirm peer-is-down --plan", "only look: nothing is stated"),
        parsers.Example("clconfirm peer-is-down --yes node1", "the same without the question"),
        parsers.Example("clconfirm copy-is-good orders --plan", "who wrote behind DRBD"),
        parsers.Example("clconfirm copy-is-good orders", "use it, after the name was typed"),
    ),
    see_also=("clstat(1)", "clform(8)", "clevents(1)"),
)


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    made.add_argument(
        "statement",
        choices=(STATEMENT, GOOD),
        metavar="STATEMENT",
        help=f"the words of the statement: {STATEMENT} or {GOOD}",
    )
    made.add_argument("application", nargs="?", metavar="APP", help=f"the application of {GOOD}")
    made.add_argument(
        "--yes",
        metavar="NODE",
        help=f"the name of the peer that is down, or for {GOOD} that of this node; without it the"
        " command asks",
    )
    made.add_argument("--plan", action="store_true", help="show what is known, state nothing")
    parsers.add_json(made)
    made.refuse_beside("--plan", ("--yes",), "nothing is stated")
    return made


def body(options: argparse.Namespace) -> int:
    if (options.statement == GOOD) is not (options.application is not None):
        raise RpcError(
            f"{GOOD} is said of one application, {STATEMENT} of none",
            f"clconfirm {GOOD} APP",
            exit_code=ExitCode.USAGE,
        )
    status = ask_status()
    if options.statement == GOOD:
        return _copy_is_good(options, status.local)
    local = status.local
    _refuse_what_is_not_needed(status)
    answer = ask("loss")
    loss = {key: answer.get(key) for key in LOSS_MEMBERS}
    print("\n".join(facts(local, read_loss(answer))), file=sys.stderr)
    if options.plan:
        if options.json:
            print_json({"peer": local.peer, "stated": False, **loss})
        return int(ExitCode.DONE)
    question = f"Is {local.peer} off? Type its name to state it"
    typed = options.yes if options.yes is not None else _ask(STATEMENT, local.peer, question)
    if typed.strip() != local.peer:
        raise RpcError(
            f"{typed.strip()!r} is not the name of the peer, so nothing was stated",
            f"the peer is {local.peer}; type exactly that once it is off",
            exit_code=ExitCode.USAGE,
        )
    result = call("confirm", {}, timeout_s=patience_s(CONFIRM_S))
    text = Reader(result).text("text") or f"{local.peer} is stated to be down"
    if options.json:
        print_json({"text": text, "peer": local.peer, "stated": True, **loss})
    else:
        print(f"{text}; follow what happens with: clstat --watch")
    return int(ExitCode.DONE)


def _refuse_what_is_not_needed(status: Status) -> None:
    local = status.local
    doubts = any(v.unproven for each in local.applications for v in each.volumes)
    if local.standing in WAITING or (local.standing == "alone" and doubts):
        return
    meaning = STANDINGS.get(local.standing, "")
    doubted = next((a.application for a in local.alarms if a.name == UNPROVEN), "")
    mend = (
        f"of a copy that may miss writes: clconfirm {GOOD} {doubted}" if doubted else "see: clstat"
    )
    raise RpcError(
        f"nothing waits for a statement: {local.node} is {local.standing} ({meaning})",
        "clform starts the cluster" if local.standing == "halted" else mend,
        exit_code=ExitCode.NOT_NOW if local.standing == "halted" else ExitCode.REFUSED,
    )


def facts(local: NodeStatus, loss: Loss) -> Iterator[str]:
    """Yield what a person should know before stating that the peer is down."""
    paint = paint_for(sys.stderr)
    seen = local.peer_seen
    heard = (
        "was not heard since the daemon's start"
        if seen.heard_ago_s is None
        else f"was heard {ago_text(seen.heard_ago_s)}"
    )
    was = f"; it was {seen.standing}" if seen.standing else ""
    yield f"{local.node} is {local.standing}: {STANDINGS.get(local.standing, '')}."
    yield f"{local.peer} {heard}{was}."
    yield "Networks:"
    yield from contact_lines(loss)
    for network in local.networks:
        if network.link_up is False:
            yield f"  {network.name}: {local.node} has no link there, so its silence proves nothing"
    yield generation_line(loss, local.node, local.peer)
    if any(application.volumes for application in loss.applications):
        yield f"The data, as {local.node} knows it:"
        yield from data_lines(loss)
    if loss.applications:
        yield f"If {local.peer} is stated to be down:"
        yield from outcome_lines(loss)
    yield from filled(
        f"If {local.peer} still runs, both nodes would write and one side's writes would have to be"
        " given up later. Make sure that it is off: look at it, switch it off, pull its cables.",
        paint(Style.WARNING, ""),
    )


def _copy_is_good(options: argparse.Namespace, local: NodeStatus) -> int:
    name, node = options.application, local.node
    names = (WRITTEN, UNPROVEN)
    found = [a.text for a in local.alarms if a.name in names and a.application == name]
    if not found:
        raise RpcError(
            f"no copy of {name} on {node} is known to have been written behind DRBD", "see: clstat"
        )
    print("\n".join(line for text in found for line in filled(text)), file=sys.stderr)
    text = f"If it is stated to be good, it is used as it is, and all of {local.peer}'s is replaced"
    print("\n".join(filled(f"{text} when the nodes meet.")), file=sys.stderr)
    if any(a.name == UNPROVEN and a.application == name for a in local.alarms):
        price = price_lines(read_loss(ask("loss")), name, local.peer)
        print("\n".join(price), file=sys.stderr)
    if options.plan:
        if options.json:
            print_json({"application": name, "node": node, "stated": False, "found": found})
        return int(ExitCode.DONE)
    question = f"Is the copy on {node} good? Type the name of this node to state it"
    asked = f"{GOOD} {name}"
    typed = options.yes if options.yes is not None else _ask(asked, node, question)
    if typed.strip() != node:
        raise RpcError(
            f"{typed.strip()!r} is not the name of this node, so nothing was stated",
            f"type exactly: {node}",
            exit_code=ExitCode.USAGE,
        )
    told = Reader(
        call("confirm-copy", {"application": name}, timeout_s=patience_s(CONFIRM_S))
    ).text("text")
    if options.json:
        print_json({"text": told, "application": name, "node": node, "stated": True})
    else:
        print(f"{told}; follow what happens with: clstat --watch")
    return int(ExitCode.DONE)


def _ask(statement: str, name: str, question: str) -> str:
    if not sys.stdin.isatty():
        raise RpcError(
            "there is no terminal to ask at, so nothing was stated",
            f"clconfirm {statement} --yes {name}",
            exit_code=ExitCode.USAGE,
        )
    print(f"\n{question} (Ctrl-C leaves): ", end="", file=sys.stderr)
    sys.stderr.flush()
    return sys.stdin.readline()


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
