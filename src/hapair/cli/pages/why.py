"""clstat --why: each decision about one application, what comes next and what blocks it."""

from collections.abc import Iterator
from typing import Final

from hapair.cli.common import ExitCode, ask, print_json
from hapair.cli.pages.asking import ask_status
from hapair.cli.pages.monitors import WatchStatus, bad_texts, summary
from hapair.cli.pages.one_application import the_application
from hapair.cli.pages.render_status import copies_text, state_text
from hapair.cli.pages.status import ApplicationStatus, NodeStatus, Status
from hapair.cli.pages.steps import blocks, next_step, restarts_text, under_way_text
from hapair.cli.screen.reading import Reader
from hapair.cli.screen.terminal import filled
from hapair.rpc.messages import JsonObject

TABLES: Final = {
    "goal": "what this node does with it",
    "hand-over": "whether it goes to the other node",
    "last-rung": "whether this node is reset for it",
    "arbitration": "who may act alone",
    "formation": "how the cluster forms",
}


def show_why(name: str, *, as_json: bool) -> int:
    """Print the explanation; RpcError when there is no such application."""
    status = ask_status()
    node, application = the_application(status, name)
    answer = ask("why", {"application": name})
    if as_json:
        print_json(content(status, name, answer))
        return int(ExitCode.DONE)
    print(f"{name}: {state_text(status, node, application)}")
    for line in why_lines(status, name, answer):
        print(line)
    return int(ExitCode.DONE)


def content(status: Status, name: str, answer: JsonObject) -> JsonObject:
    steps: JsonObject = {}
    for node in (status.local, status.remote):
        application = node.application(name) if node is not None else None
        if node is not None and application is not None:
            steps[node.node] = {
                "next": next_step(application),
                "blocked_by": list(blocks(application)),
            }
    return {"application": name, "steps": steps, **answer}


def why_lines(status: Status, name: str, answer: JsonObject) -> Iterator[str]:
    """Yield the reasons of each node that told its own, with what comes next there."""
    for told in reasons_by_node(answer, status.local.node):
        node_name, reasons = told
        node = status.seen_by(node_name)
        application = node.application(name) if node is not None else None
        yield ""
        phase = f", {application.phase}" if application is not None else ""
        yield f"on {node_name} ({node.standing if node else 'unknown'}{phase})"
        for reason in reasons:
            table = reason.text("table")
            yield from filled(
                f"{reason.text('text')}  [{table}: {reason.text('rule')}]", "  because  "
            )
        if node is not None and application is not None:
            yield from _steps(node, application)


def rest_text(node: NodeStatus, application: ApplicationStatus) -> str:
    """Say why there is no next action on this node."""
    match node.standing:
        case "cut" | "forming":
            return "nothing is started or stopped here before it is clear who may act"
        case "halted":
            return "nothing, until clform makes this node a member again"
        case _:
            pass
    lies = application.owner == node.node and application.wanted != "down"
    if lies and application.phase == "stopped":
        return "nothing by itself: a person has to mend what is told above"
    return "nothing: it is as it should be"


def reasons_by_node(answer: JsonObject, local: str) -> Iterator[tuple[str, tuple[Reader, ...]]]:
    """Yield each node that answered with the rows that hold there."""
    for node in Reader(answer).inners("nodes"):
        yield node.text("node", local), node.inners("reasons")


def _steps(node: NodeStatus, application: ApplicationStatus) -> Iterator[str]:
    yield from filled(next_step(application) or rest_text(node, application), "  next     ")
    if doing := under_way_text(application):
        yield from filled(doing, "  program  ")
    for text in blocks(application):
        yield from filled(text, "  blocked  ")
    for volume in application.volumes:
        yield from filled(f"{volume.resource}: {copies_text(node, volume)}", "  data     ")
    if application.watch is not None:
        yield from _monitors(application, application.watch)


def _monitors(application: ApplicationStatus, watch: WatchStatus) -> Iterator[str]:
    """Yield what watches it, and how often it is restarted here before it moves."""
    told = f"nobody: {watch.why}" if watch.why else summary(application.monitors)
    yield from filled(f"{told}; {restarts_text(application, watch)}", "  watched  ")
    for text in bad_texts(application.monitors):
        yield from filled(text, "  monitor  ")
    if application.changed:
        text = f"{', '.join(application.changed)}: differs from appconf.xml"
        yield from filled(text, "  monitors ")
