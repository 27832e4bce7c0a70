"""An existing configuration to drafts, with what was taken over and what was not."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hapair.migrate.cib import read_cib
from hapair.migrate.corosync import read_corosync
from hapair.migrate.crm import read_crm
from hapair.migrate.draft_application import REVIEW, application_tag
from hapair.migrate.draft_cluster import cluster_tag, subnets_of
from hapair.migrate.drbd import DrbdResource, read_drbd
from hapair.migrate.heartbeat import found_in_heartbeat
from hapair.migrate.keepalived import Include, found_in_keepalived
from hapair.migrate.lines import Place, Source, UnreadableError, refuse_more
from hapair.migrate.notes import Note, Notes
from hapair.migrate.pacemaker import found_in_pacemaker
from hapair.migrate.pacemaker_words import Pacemaker
from hapair.migrate.words import Found, FoundCluster
from hapair.migrate.xml_text import Tag, document, opened_in

TOOLS: Final = ("pacemaker", "keepalived", "heartbeat")
APPLICATIONS_MAX: Final = 500
COMMENTED_MAX: Final = 200  # Notes that stand in the draft itself.


@dataclass(frozen=True, slots=True)
class Draft:
    """One file of /etc/cluster as it is proposed."""

    name: str
    text: str
    opened: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drafts:
    files: tuple[Draft, ...]
    notes: tuple[Note, ...] = ()


def drafts_from(tool: str, sources: tuple[Source, ...], include: Include) -> Drafts:
    """Return the drafts; UnreadableError names the file, the line and the mend.

    ``include`` returns the files that a pattern of keepalived.conf names.
    """
    notes = Notes()
    match tool:
        case "pacemaker":
            found = _pacemaker(sources, notes)
        case "keepalived":
            found = found_in_keepalived(sources, include, notes)
        case _:
            drbd, others = _resources(sources, notes)
            found = found_in_heartbeat(others, drbd, notes)
    ordered = notes.in_order()
    files = [_cluster(found, ordered)]
    refuse_more(
        len(found.applications), "applications", Place(sources[0].name, 1), APPLICATIONS_MAX
    )
    subnets = subnets_of(found)
    for each in found.applications:
        tag = application_tag(each, found, subnets)
        head = (REVIEW, *(f"Before clbuildapp: {text}" for text in dict.fromkeys(each.before)))
        name = f"{each.name}/appconf.xml"
        files.append(Draft(name, document(tag, "appconf", head), opened_in(tag)))
    return Drafts(tuple(files), ordered)


def _cluster(found: Found, notes: tuple[Note, ...]) -> Draft:
    tag: Tag = cluster_tag(found)
    more = len(notes) - COMMENTED_MAX
    listed = [str(each) for each in notes[:COMMENTED_MAX]]
    foot = ("What became of each line:", *listed, *([f"And {more} more."] if more > 0 else []))
    text = document(tag, "clconf", (REVIEW,), foot)
    return Draft("clconf.xml", text, opened_in(tag))


def _pacemaker(sources: tuple[Source, ...], notes: Notes) -> Found:
    drbd, others = _resources(sources, notes)
    told, config = FoundCluster(), None
    for source in others:
        if _is_corosync(source):
            told = read_corosync(source, notes)
        elif config is not None:
            what = "there is a second configuration of Pacemaker"
            raise UnreadableError(Place(source.name, 1), what, "give the files of one cluster")
        elif source.content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            config = read_cib(source)
        else:
            config = read_crm(source)
    return found_in_pacemaker(config or Pacemaker(), told, drbd, notes)


def _resources(
    sources: Iterable[Source], notes: Notes
) -> tuple[tuple[DrbdResource, ...], tuple[Source, ...]]:
    """Read DRBD's files; return the others as well."""
    found: list[DrbdResource] = []
    others: list[Source] = []
    for source in sources:
        if source.name.endswith(".res"):
            found += read_drbd(source, notes)
        else:
            others.append(source)
    return tuple(found), tuple(others)


def _is_corosync(source: Source) -> bool:
    return source.name.rpartition("/")[2].startswith("corosync")
