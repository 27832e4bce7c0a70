"""Strategies for values of the configuration."""

from ipaddress import IPv4Interface, IPv6Interface
from typing import Final

from hypothesis import strategies as st

from hapair.model.application import (
    Application,
    FileSystem,
    OcfAgent,
    Script,
    ServiceAddress,
    TimeLimits,
    Unit,
    Volume,
)
from hapair.model.built import Built, BuiltApplication
from hapair.model.cluster import (
    ArbitrationKind,
    Attachment,
    Cluster,
    FenceMethod,
    Network,
    PortRange,
    Resync,
    Timing,
    Watchdog,
    Witness,
    WitnessKind,
)

NODES: Final = ("node1", "node2")
WORDS: Final = st.text(max_size=12)
NAMES: Final = st.from_regex("[a-z][a-z0-9]{0,7}", fullmatch=True)
SECONDS: Final = st.floats(min_value=0, max_value=1e6)
INTERFACES: Final = st.one_of(
    st.integers(0, 2**32 - 1).map(lambda n: IPv4Interface((n, 24))),
    st.integers(0, 2**128 - 1).map(lambda n: IPv6Interface((n, 64))),
)


def _attachment(node: str) -> st.SearchStrategy[Attachment]:
    cards = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
    further = st.lists(INTERFACES, max_size=2).map(tuple)
    return st.builds(Attachment, st.just(node), INTERFACES, cards, further)


def _network(*, replication: bool) -> st.SearchStrategy[Network]:
    return st.builds(
        Network,
        name=WORDS,
        attachments=st.tuples(*(_attachment(node) for node in NODES)),
        crossover=st.booleans(),
        replication=st.just(replication),
        reference=st.none() | WORDS,
    )


NAME_LISTS: Final = st.lists(NAMES, max_size=3, unique=True).map(tuple)
PARAMETERS: Final = st.lists(st.tuples(WORDS, WORDS), max_size=2).map(tuple)
WITNESSES: Final = st.builds(Witness, st.sampled_from(WitnessKind), WORDS, SECONDS, WORDS)
METHODS: Final = st.builds(FenceMethod, st.sampled_from(NODES), WORDS, SECONDS, PARAMETERS)
CLUSTERS: Final = st.builds(
    Cluster,
    name=WORDS,
    nodes=st.just(NODES),
    ports=st.builds(PortRange, st.integers(1024, 2000), st.integers(2001, 65535)),
    devices=st.integers(1, 1000),
    networks=st.tuples(_network(replication=True), _network(replication=False)),
    arbitration=st.sampled_from(ArbitrationKind),
    timing=st.builds(Timing, SECONDS, SECONDS, st.none() | SECONDS),
    witnesses=st.lists(WITNESSES, max_size=3).map(tuple),
    fence_methods=st.lists(METHODS, max_size=3).map(tuple),
    window_s=st.none() | SECONDS,
    watchdog=st.none() | st.builds(Watchdog, WORDS, SECONDS),
    resync=st.builds(Resync, st.booleans(), st.none() | st.integers(1, 2**40), NAME_LISTS),
)
PROGRAMS: Final = st.one_of(
    st.none(),
    st.builds(Script, WORDS),
    st.builds(Unit, WORDS),
    st.builds(OcfAgent, WORDS, WORDS, PARAMETERS),
)
APPLICATIONS: Final = st.builds(
    Application,
    name=NAMES,
    preferred=st.sampled_from(NODES),
    program=PROGRAMS,
    autostart=st.booleans(),
    failback=st.booleans(),
    resets_node=st.booleans(),
    volume_groups=st.lists(WORDS, max_size=2).map(tuple),
    addresses=st.lists(st.builds(ServiceAddress, WORDS, INTERFACES), max_size=3).map(tuple),
    limits=st.builds(TimeLimits, SECONDS, SECONDS, SECONDS),
    after=NAME_LISTS,
    with_=NAME_LISTS,
    apart_from=NAME_LISTS,
    priority=st.integers(0, 1000),
)


def volume(application: str, number: int) -> Volume:
    """Return the volume that is the ``number``-th in the whole cluster."""
    return Volume(
        resource=f"{application}.lv{number}",
        minor=100 + number,
        port=7701 + number,
        volume_group=f"vg_{application}",
        logical_volume=f"lv{number}",
        meta_volume=f"lv{number}_meta",
        size_bytes=2**30,
        mount_point=f"/srv/{application}/{number}",
        file_system=FileSystem.XFS,
    )


@st.composite
def builts(draw: st.DrawFn) -> Built:
    applications = draw(st.lists(APPLICATIONS, max_size=3, unique_by=lambda one: one.name))
    return Built(
        generation=draw(st.integers(0, 10**9)),
        cluster=draw(CLUSTERS),
        fingerprint=draw(WORDS),
        minors_first=draw(st.integers(0, 1000)),
        applications=tuple(
            BuiltApplication(one, (volume(one.name, number),), draw(WORDS))
            for number, one in enumerate(applications)
        ),
        secret_number=draw(st.integers(0, 3)),
    )
