"""appconf.xml from what was found of an application."""

from typing import Final

from hapair.config import addresses, kinds
from hapair.config.format_appconf import LIMIT_MAX_S
from hapair.migrate import times
from hapair.migrate.draft_cluster import PUBLIC, nodes_of
from hapair.migrate.subnets import Subnets
from hapair.migrate.words import Found, FoundApplication
from hapair.migrate.xml_text import Tag, left_open, settled

PERIOD_MAX_S: Final = 604800.0
RESTARTS_MAX: Final = 100
REVIEW: Final = "A draft: read each line, and write what stands behind CHANGE."


def application_tag(application: FoundApplication, found: Found, subnets: Subnets) -> Tag:
    """Return the element <application>; what nobody told is left open."""
    why = application.why
    preferred = application.preferred or nodes_of(found.cluster)[0]
    name = settled(kinds.SIMPLE_NAME, application.name, "a name for the application")
    node = settled(kinds.NODE_NAME, preferred, "the node that it usually runs on")
    attributes = [("name", name), ("preferred", node)]
    if application.failback:
        attributes.append(("failback", "yes"))
    children = [*_groups(application), *_networks(application, subnets)]
    if application.program is not None:
        children.append(Tag("run", (), (application.program,), why=_of(why, "run")))
    limits = [
        (name, times.written(seconds, 1, LIMIT_MAX_S))
        for name, seconds in (
            ("start", application.start_s),
            ("stop", application.stop_s),
            ("mount", application.mount_s),
        )
        if seconds
    ]
    if limits:
        children.append(Tag("limits", tuple(limits), why=_of(why, "limits")))
    if application.monitors:
        children.append(_monitors(application))
    return Tag("application", tuple(attributes), tuple(children), why=_of(why, "application"))


def _groups(application: FoundApplication) -> list[Tag]:
    question = "the volume group that its file systems lie in"
    return [
        Tag(
            "volumegroup",
            (("name", settled(kinds.VOLUME_GROUP, group.volume_group, question)),),
            why=(group.why,),
        )
        for group in application.groups
    ]


def _networks(application: FoundApplication, subnets: Subnets) -> list[Tag]:
    """Return a <network> for each network in which the application has addresses."""
    by_network: dict[str, list[Tag]] = {}
    for each in application.addresses:
        text = settled(addresses.RANGE, each.address, "an address that follows the application")
        tag = Tag("address", text=text, why=(each.why,) if each.why else ())
        by_network.setdefault(subnets.name_of(each.address, each.prefix) or PUBLIC, []).append(tag)
    return [
        Tag("network", (("name", name),), tuple(tags), why=_of(application.why, "network"))
        for name, tags in by_network.items()
    ]


def _monitors(application: FoundApplication) -> Tag:
    attributes = []
    if application.restarts is not None:
        attributes.append(("restarts", str(min(max(application.restarts, 0), RESTARTS_MAX))))
    if application.period_s:
        attributes.append(("period", times.written(application.period_s, 1, PERIOD_MAX_S)))
    why = _of(application.why, "monitors")
    return Tag("monitors", tuple(attributes), application.monitors, why=why)


def _of(why: dict[str, str], key: str) -> tuple[str, ...]:
    return (why[key],) if why.get(key) else ()


def program_of_several(names: tuple[str, ...]) -> Tag:
    """Return the program where several have to be started: one of the reader's own."""
    return Tag("unit", (("name", left_open(f"one target of yours for {', '.join(names)}")),))
