"""What starts a unit beside the cluster is refused, each with a mend that ends it when typed."""

from dataclasses import replace
from typing import Final

import pytest

from hapair.core.plan.unit_checks import given_back, objections, warnings
from hapair.model.unit import ProgramUnit, Starter

NAME: Final = "orders.service"
AT_REST: Final = ProgramUnit(NAME, "disabled")
SOCKET: Final = Starter("orders.socket", trigger=True)
PULLED: Final = replace(SOCKET, active=True, pulled=True)
TARGET: Final = Starter("multi-user.target", trigger=False, active=True)

QUADLET: Final = ProgramUnit(
    NAME, "generated", source="/etc/containers/systemd/orders.container", digest="a", image="shop:1"
)


def said(unit: ProgramUnit, *, asked: str = "", runs_here: bool = False) -> list[tuple[str, str]]:
    return list(objections(asked or unit.name, unit, runs_here=runs_here))


def beside(*starters: Starter, unit: ProgramUnit = AT_REST) -> ProgramUnit:
    return replace(unit, starters=starters)


ENABLED: Final = "orders.service is enabled: every boot would start it"
REFUSED: Final[dict[str, tuple[ProgramUnit, str, str]]] = {
    "a boot starts it": (
        beside(TARGET, unit=ProgramUnit(NAME, "enabled")),
        ENABLED,
        "systemctl disable orders.service",
    ),
    "it runs as well": (
        ProgramUnit(NAME, "enabled", active=True),
        ENABLED,
        "systemctl disable --now orders.service",
    ),
    "a script of System V": (
        beside(TARGET, unit=ProgramUnit(NAME, "generated")),
        ENABLED,
        "systemctl disable orders.service",
    ),
    "it is over at once": (
        ProgramUnit(NAME, "static", kind="oneshot", stays=False),
        (
            "orders.service is over when it has been started:"
            " nothing of it can be looked at or stopped"
        ),
        (
            "systemctl edit orders.service, and write there: [Service], and below:"
            " RemainAfterExit=yes"
        ),
    ),
    "a target that leaves a part of it": (
        ProgramUnit("orders.target", "static", lasting=(NAME,)),
        "orders.target starts orders.service, which stays when it is stopped",
        "systemctl edit orders.service, and write there: [Unit], and below: PartOf=orders.target",
    ),
    "a container that every boot starts": (
        beside(TARGET, unit=QUADLET),
        f"{QUADLET.source} has a section [Install]: every boot would start orders.service",
        "take that section out of it, then: systemctl daemon-reload",
    ),
    "a container that runs": (
        beside(TARGET, unit=replace(QUADLET, active=True)),
        f"{QUADLET.source} has a section [Install]: every boot would start orders.service",
        (
            "take that section out of it, then: systemctl daemon-reload;"
            " systemctl stop orders.service"
        ),
    ),
    "it was started by hand": (
        ProgramUnit(NAME, "static", active=True),
        "orders.service runs, and the cluster did not start it",
        "systemctl stop orders.service",
    ),
    "a generator of some package": (
        ProgramUnit(NAME, "enabled-runtime"),
        "orders.service is enabled in /run, as a generator does at every boot",
        (
            "find /run/systemd -name orders.service shows which one: tell it not to;"
            " systemctl daemon-reload"
        ),
    ),
    "the generator of Debian's PostgreSQL": (
        ProgramUnit("postgresql@15-a-b.service", "enabled-runtime", active=True),
        "postgresql@15-a-b.service is enabled in /run, as a generator does at every boot",
        (
            "echo manual >/etc/postgresql/15/a-b/start.conf; systemctl daemon-reload;"
            " systemctl stop postgresql@15-a-b.service"
        ),
    ),
    "another unit wants it": (
        beside(Starter("shop.service", trigger=False, at_boot=True)),
        "shop.service starts orders.service whenever it is started itself",
        "systemctl edit --full shop.service, and leave orders.service out of what it wants",
    ),
    "a target of the package wants it": (
        beside(TARGET, unit=ProgramUnit(NAME, "static")),
        "multi-user.target starts orders.service whenever it is started itself",
        "systemctl edit --full multi-user.target, and leave orders.service out of what it wants",
    ),
    "a socket that is enabled": (
        beside(replace(SOCKET, at_boot=True)),
        "orders.socket starts orders.service as soon as somebody connects",
        "systemctl disable orders.socket",
    ),
    "a timer that runs as well": (
        beside(Starter("orders.timer", trigger=True, at_boot=True, active=True)),
        "orders.timer starts orders.service when its time comes",
        "systemctl disable --now orders.timer",
    ),
    "a path that runs until the next boot": (
        beside(Starter("orders.path", trigger=True, active=True)),
        "orders.path starts orders.service when a file changes",
        "systemctl stop orders.path",
    ),
    "a trigger of a kind to come": (
        beside(Starter("orders.novelty", trigger=True, active=True)),
        "orders.novelty starts orders.service by itself",
        "systemctl stop orders.novelty",
    ),
    "a socket that the unit starts and leaves behind": (
        beside(replace(PULLED, active=False)),
        (
            "orders.service starts orders.socket, which stays when it is stopped and starts it as"
            " soon as somebody connects"
        ),
        "systemctl edit orders.socket, and write there: [Unit], and below: PartOf=orders.service",
    ),
}


@pytest.mark.parametrize(("unit", "what", "mend"), REFUSED.values(), ids=REFUSED)
def test_what_starts_it_beside_the_cluster_is_named_with_its_mend(
    unit: ProgramUnit, what: str, mend: str
) -> None:
    assert said(unit) == [(what, mend)]


def test_a_name_that_goes_away_when_the_unit_is_disabled_is_not_taken() -> None:
    ((what, mend),) = said(ProgramUnit("mariadb.service", "disabled"), asked="mysql.service")
    assert what.startswith("mysql.service is another name of mariadb.service")
    assert mend == 'write <unit name="mariadb.service"/>'


HARMLESS: Final[dict[str, ProgramUnit]] = {
    "at rest": AT_REST,
    "a script of System V that no runlevel starts": ProgramUnit(NAME, "generated"),
    "a socket that is neither enabled nor listening": beside(SOCKET),
    "a target that nobody starts": beside(Starter("shop.target", trigger=False)),
    "a socket that comes and goes with it": beside(replace(PULLED, active=False, follows=True)),
}


@pytest.mark.parametrize("unit", HARMLESS.values(), ids=HARMLESS)
def test_what_starts_nothing_is_accepted(unit: ProgramUnit) -> None:
    assert said(unit) == []


RUNS: Final = ProgramUnit(NAME, "disabled", active=True)


def test_what_the_cluster_runs_is_in_nobodys_way() -> None:
    own = beside(replace(PULLED, follows=True), unit=RUNS)
    assert said(RUNS, runs_here=True) == said(own, runs_here=True) == []


@pytest.mark.parametrize("follows", [False, True])
def test_no_mend_stops_what_the_cluster_runs(*, follows: bool) -> None:
    enabled = replace(RUNS, file_state="enabled")
    socket = replace(PULLED, at_boot=True, follows=follows)
    mends = [mend for _, mend in said(beside(socket, unit=enabled), runs_here=True)]
    assert mends[0] == "systemctl disable orders.service"
    assert any("--now" in each for each in mends) is not follows  # A mere socket may go.


STATIC: Final = ProgramUnit(NAME, "static", active=True)
WAYS_BACK: Final[dict[str, tuple[ProgramUnit, tuple[str, ...], str]]] = {
    "a boot started it": (AT_REST, (), "systemctl enable --now orders.service"),
    "a script of System V did": (
        ProgramUnit(NAME, "generated"), (), "systemctl enable --now orders.service",
    ),
    "its socket, which is not opened beside a service that runs": (
        AT_REST, ("orders.socket",), "systemctl enable --now orders.socket orders.service",
    ),
    "only its timer": (
        STATIC, ("orders.timer",),
        "systemctl enable --now orders.timer; systemctl start orders.service",
    ),
    "a person": (STATIC, (), "systemctl start orders.service"),
    "the generator of Debian's PostgreSQL": (
        ProgramUnit("postgresql@15-a-b.service", "disabled"), (),
        (
            "echo auto >/etc/postgresql/15/a-b/start.conf; systemctl daemon-reload;"
            " systemctl start postgresql@15-a-b.service"
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("unit", "triggers", "typed"), WAYS_BACK.values(), ids=WAYS_BACK)
def test_what_started_it_before_the_cluster_can_be_told_to_do_so_again(
    unit: ProgramUnit, triggers: tuple[str, ...], typed: str
) -> None:
    assert given_back(unit, triggers) == typed


def test_a_container_is_given_back_to_the_boots_by_its_own_file() -> None:
    """FAIL: systemctl refuses to enable what a generator has made."""
    assert given_back(QUADLET, ()) == (
        f"write a section [Install] with WantedBy=multi-user.target into {QUADLET.source};"
        " systemctl daemon-reload; systemctl start orders.service"
    )


@pytest.mark.parametrize(
    "unit",
    [
        QUADLET,
        ProgramUnit(NAME, kind="oneshot"),
        ProgramUnit(NAME, kind="notify"),
        ProgramUnit(NAME, kind="forking"),
    ],
)
def test_a_unit_that_the_cluster_alone_starts_is_taken(unit: ProgramUnit) -> None:
    assert not said(unit)
    assert not list(warnings(unit, unit, "node2"))
    assert not list(warnings(unit, None, "node2"))


WARNED: Final[dict[str, tuple[ProgramUnit, str, str]]] = {
    "a guess": (
        ProgramUnit(NAME, kind="forking", guessed=True, digest="a"),
        "orders.service forks and names no PIDFile: systemd guesses what its main process is",
        "let it stay in the foreground (Type=exec), or write PIDFile=",
    ),
    "it goes with another one": (
        replace(QUADLET, stopped_by=("podman.service",)),
        (
            "when podman.service is stopped or restarted, so is orders.service,"
            " and nobody asks the cluster"
        ),
        "nothing, if that is meant; else leave podman.service out of its PartOf= and BindsTo=",
    ),
    "no image": (
        replace(QUADLET, has_image=False),
        "the image shop:1 of orders.service is not here",
        "podman pull shop:1",
    ),
    "another file": (
        replace(QUADLET, digest="b"),
        f"{QUADLET.source} is not as on node2, or what is added to it",
        "make them alike: systemctl cat orders.service",
    ),
}


@pytest.mark.parametrize("case", WARNED)
def test_what_may_go_wrong_with_a_unit_is_a_warning(case: str) -> None:
    unit, what, mend = WARNED[case]
    assert list(warnings(unit, QUADLET, "node2")) == [(what, mend)]
    assert not said(unit)
