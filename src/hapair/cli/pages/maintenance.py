"""What is in maintenance, for clstat and clmaintain. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hapair.cli.screen.reading import Reader
from hapair.cli.screen.terminal import filled, span_text, stamp


@dataclass(frozen=True, slots=True)
class MaintenanceStatus:
    of: str  # "cluster", "node NAME" or "application NAME".
    reason: str
    since_wall_s: float
    left_s: float | None  # None: until it is taken off.


def read_maintenance(reader: Reader) -> tuple[MaintenanceStatus, ...]:
    """Return what a node tells; an old version tells nothing."""
    return tuple(
        MaintenanceStatus(
            inner.text("of"),
            inner.text("reason"),
            inner.number("since_wall_s") or 0.0,
            inner.number("left_s"),
        )
        for inner in reader.inners("maintenance")
    )


def maintenance_text(told: MaintenanceStatus) -> str:
    """Say what is in maintenance, since when, why, and until when."""
    since = f" since {stamp(told.since_wall_s)}" if told.since_wall_s else ""
    until = "until it is taken off"
    if told.left_s is not None:
        until = f"{span_text(told.left_s)} left"
    reason = f": {told.reason}" if told.reason else ""
    return f"{told.of}{since}, {until}{reason}"


def of_application(
    each: Sequence[MaintenanceStatus], name: str, node: str
) -> MaintenanceStatus | None:
    """Return what an application on a node is left alone for."""
    places = ("cluster", f"node {node}", f"application {name}")
    return next((told for told in each if told.of in places), None)


def maintenance_lines(each: Sequence[MaintenanceStatus]) -> Iterator[str]:
    for told in each:
        yield from filled(maintenance_text(told), "  maintenance of ")
