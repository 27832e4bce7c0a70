"""clstat APP: what is known of one application. Pure, but for asking about its history."""

from collections.abc import Iterator
from typing import Final

from hapair.cli.pages.attention import Finding, findings, owner_view
from hapair.cli.pages.history import line_of, newest
from hapair.cli.pages.maintenance import maintenance_text, of_application
from hapair.cli.pages.monitors import state_lines
from hapair.cli.pages.render_status import (
    Page,
    application_text,
    attention_lines,
    details,
    heading,
)
from hapair.cli.pages.status import ApplicationStatus, NodeStatus, Status
from hapair.cli.pages.steps import restarts_text
from hapair.cli.screen.terminal import Paint, Style, columns, filled, stamp
from hapair.config.complaints import meant
from hapair.model.timeline import Happening
from hapair.rpc.history import happening_object
from hapair.rpc.messages import ExitCode, JsonObject, RpcError

LINES_SHOWN: Final = 10
LINES_ASKED: Final = 2000  # Most of them are of others, or calm.
CALM: Final = "info"


def the_application(status: Status, name: str) -> tuple[NodeStatus, ApplicationStatus]:
    """Return its owner's own view of it; RpcError names the known ones where there is none."""
    view = owner_view(status, name)
    if view is None:
        raise unknown_application(name, status.applications())
    return view


def unknown_application(name: str, known: tuple[str, ...]) -> RpcError:
    return RpcError(
        f"there is no application {name}",
        f"{meant(name, known)} applications: {', '.join(known) or 'none is built'}".lstrip(),
        exit_code=ExitCode.USAGE,
    )


def troubles_of(name: str) -> tuple[Happening, ...]:
    """Ask for what went wrong with it of late, on both nodes, oldest first."""
    told = (
        each for each in newest(LINES_ASKED) if each.application == name and each.severity != CALM
    )
    return tuple(told)[-LINES_SHOWN:]


def findings_of(status: Status, name: str) -> tuple[Finding, ...]:
    """Return what needs a person about one application; RpcError for an unknown one."""
    the_application(status, name)
    return tuple(each for each in findings(status) if each.about == name)


def narrowed(answer: JsonObject, name: str) -> JsonObject:
    """Leave the other applications out of an answer to ``status``."""
    nodes = answer.get("nodes")
    told = nodes if isinstance(nodes, dict) else {}
    return {**answer, "nodes": {node: _narrowed(each, name) for node, each in told.items()}}


def _narrowed(node: object, name: str) -> object:
    if not isinstance(node, dict):
        return node
    each = node.get("applications")
    applications = each if isinstance(each, list) else []
    mine = [one for one in applications if isinstance(one, dict) and one.get("name") == name]
    return {**node, "applications": mine}


def history_objects(troubles: tuple[Happening, ...]) -> list[JsonObject]:
    return [happening_object(each) for each in troubles]


def one_lines(
    page: Page, name: str, troubles: tuple[Happening, ...], paint: Paint
) -> Iterator[str]:
    """Yield the page of one application; RpcError for an unknown one."""
    node, application = the_application(page.status, name)
    seen = f"seen by {page.status.local.node}"
    now = f"{page.now_text}, {seen}" if page.now_text else seen
    yield heading(f"APPLICATION {name}", now, paint)
    yield from filled(application_text(page.status, node, application, paint), "  ")
    told = of_application(node.maintenance, name, node.node)
    if told is not None:
        yield from filled(f"in maintenance: {maintenance_text(told)}", "  ")
    yield from details(page, node, application, whole=True)
    yield ""
    yield from attention_lines(page.findings, paint)
    yield ""
    yield from _monitors(application, paint)
    yield ""
    yield from _failures(application, troubles, paint)


def _monitors(application: ApplicationStatus, paint: Paint) -> Iterator[str]:
    watch = application.watch
    if watch is None:
        yield f"{paint(Style.STRONG, 'MONITORS')}  it does not run: nobody watches it"
        return
    yield paint(Style.STRONG, "MONITORS")
    if watch.why:
        yield from filled(f"nobody watches it: {watch.why}", "  ")
    yield from (line.rstrip() for line in state_lines(application.monitors, paint))


def _failures(
    application: ApplicationStatus, troubles: tuple[Happening, ...], paint: Paint
) -> Iterator[str]:
    """Yield what counts against the nodes, and what the history tells of it."""
    if not application.failures and not troubles:
        yield f"{paint(Style.STRONG, 'FAILURES')}  none of late"
        return
    yield paint(Style.STRONG, "FAILURES")
    rows = [
        (
            each.node,
            f"{each.count} of late, {each.runs} of them found by monitors",
            f"last {stamp(each.wall_s)}" if each.wall_s else "",
        )
        for each in application.failures
    ]
    yield from columns(rows, "  ")
    if application.watch is not None:
        yield f"  {restarts_text(application, application.watch)}"
    yield from (f"  {line_of(each, paint)}" for each in troubles)
