"""The loss estimate as values and as lines: what a person sees before a statement."""

from collections.abc import Iterator
from dataclasses import dataclass

from hapair.cli.screen.reading import Json, Reader
from hapair.cli.screen.terminal import columns, filled, size_text, span_text, stamp


@dataclass(frozen=True, slots=True)
class VolumeLoss:
    resource: str
    worth: str  # "complete", "doubtful" or "unusable"
    because: str
    missing_bytes: int | None
    connected_until_wall_s: float | None
    equal_until_wall_s: float | None
    behind_since_wall_s: float | None


@dataclass(frozen=True, slots=True)
class ApplicationLoss:
    name: str
    starts: bool
    text: str
    volumes: tuple[VolumeLoss, ...]


@dataclass(frozen=True, slots=True)
class Loss:
    """What one node knows; all times are of that node's wall clock, for people."""

    wall_s: float
    heard_until_wall_s: dict[str, float | None]  # Per network.
    generation: int
    peer_generation: int  # 0: the peer was never heard.
    applications: tuple[ApplicationLoss, ...]


def read_loss(answer: Json) -> Loss:
    reader = Reader(answer)
    return Loss(
        wall_s=reader.number("wall_s") or 0.0,
        heard_until_wall_s={
            network.text("name"): network.number("heard_until_wall_s")
            for network in reader.inners("networks")
        },
        generation=reader.whole("generation"),
        peer_generation=reader.whole("peer_generation"),
        applications=tuple(_application(inner) for inner in reader.inners("applications")),
    )


def _application(reader: Reader) -> ApplicationLoss:
    return ApplicationLoss(
        reader.text("name"),
        bool(reader.flag("starts")),
        reader.text("text"),
        tuple(_volume(inner) for inner in reader.inners("volumes")),
    )


def _volume(reader: Reader) -> VolumeLoss:
    missing = reader.number("missing_bytes")
    return VolumeLoss(
        resource=reader.text("resource"),
        worth=reader.text("worth"),
        because=reader.text("because"),
        missing_bytes=None if missing is None else int(missing),
        connected_until_wall_s=reader.number("connected_until_wall_s"),
        equal_until_wall_s=reader.number("equal_until_wall_s"),
        behind_since_wall_s=reader.number("behind_since_wall_s"),
    )


def moment_text(wall_s: float | None, now_wall_s: float) -> str:
    """Write a moment with its age, e.g. ``5 min 12 s ago (2026-01-06 03:07:32)``."""
    if wall_s is None:
        return "at an unknown time"
    return f"{span_text(max(now_wall_s - wall_s, 0.0))} ago ({stamp(wall_s)})"


def contact_lines(loss: Loss) -> Iterator[str]:
    """Yield when the peer was heard last on each network, also before a restart."""
    rows = [
        (
            f"  {name}:",
            "not recorded" if wall_s is None else f"heard {moment_text(wall_s, loss.wall_s)}",
        )
        for name, wall_s in loss.heard_until_wall_s.items()
    ]
    yield from columns(rows)


def generation_line(loss: Loss, node: str, peer: str) -> str:
    theirs = f"{peer} {loss.peer_generation} when last heard"
    if not loss.peer_generation:
        theirs = f"{peer} unknown: it was never heard"
    return f"Configuration: {node} {loss.generation}, {theirs}."


def data_lines(loss: Loss) -> Iterator[str]:
    """Yield for each copy here how old it is and what it misses."""
    for application in loss.applications:
        for volume in application.volumes:
            yield from filled(volume_text(volume, loss.wall_s), f"  {volume.resource}: ", "    ")


def volume_text(volume: VolumeLoss, now_wall_s: float) -> str:
    parts = [
        f"replication ended {moment_text(volume.connected_until_wall_s, now_wall_s)}",
        f"copies last known to be equal {moment_text(volume.equal_until_wall_s, now_wall_s)}",
    ]
    if volume.behind_since_wall_s is not None:
        parts.append(f"behind since {moment_text(volume.behind_since_wall_s, now_wall_s)}")
    if volume.missing_bytes is not None:
        parts.append(f"{size_text(volume.missing_bytes)} known to be missing here")
    return f"{volume.because}; {'; '.join(parts)}"


def price_lines(loss: Loss, application: str, peer: str) -> Iterator[str]:
    """Yield for each copy of an application since when it might lack what the peer wrote."""
    for told in loss.applications:
        for volume in told.volumes if told.name == application else ():
            equal = moment_text(volume.equal_until_wall_s, loss.wall_s)
            text = f"what {peer} alone may have written is lost; last known to be equal {equal}"
            yield from filled(text, f"  {volume.resource}: ", "    ")


def outcome_lines(loss: Loss) -> Iterator[str]:
    """Yield what the statement would start, what stays down, and the price of each."""
    for application in loss.applications:
        word = "starts" if application.starts else "stays down"
        yield from filled(application.text, f"  {application.name} {word}: ", "    ")
