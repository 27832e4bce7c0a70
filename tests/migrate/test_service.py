"""What becomes of a service that was seen running."""

from dataclasses import replace

from hapair.config.appconf import examine_appconf
from hapair.config.clconf import read_clconf
from hapair.config.grammar import LATER
from hapair.migrate.drafts import Draft
from hapair.migrate.service import Around, draft_of_service
from hapair.model.cluster import Cluster
from hapair.model.service import (
    SeenAddress,
    SeenFolder,
    SeenMount,
    SeenPort,
    SeenProcess,
    SeenService,
    SeenUnit,
)
from hapair.model.unit import ProgramUnit, Starter

CLCONF = b"""<cluster name="shop"><node name="node1"/><node name="node2"/>
<network name="public"><on node="node1" address="10.77.1.1/24" cards="eth0"/>
<on node="node2" address="10.77.1.2/24" cards="eth0"/></network>
<arbitration by="operator"/></cluster>"""
DATA = SeenMount("/var/lib/postgresql", "/dev/mapper/vg_pg-data", "xfs", "vg_pg", "data")
POSTGRES = SeenService(
    "node1",
    "postgresql@15-main.service",
    SeenUnit("postgresql@15-main.service", 100, 2.5, 0.0, 3600.0, "forking"),
    (SeenProcess(100, 1, "postgres", "postgres -D /var/lib/postgresql", "postgres", 9.0),),
    (SeenFolder("/var/lib/postgresql/15/main", "it is the working folder of postgres", DATA),),
    (
        SeenPort("tcp", "0.0.0.0", 5432, "postgres"),  # noqa: S104 - nothing is bound
        SeenPort("tcp", "::", 5432, "postgres"),
        SeenPort("tcp", "10.77.1.50", 8080, "exporter", http_status=404),
    ),
    (
        SeenAddress("10.77.1.1", 24, "eth0", "a client is connected to it now", first=True),
        SeenAddress("10.77.1.50", 24, "eth0", "it listens at it: port 8080", first=False),
    ),
    (DATA,),
)


def cluster() -> Cluster:
    found = read_clconf(CLCONF, file="clconf.xml")
    assert isinstance(found, Cluster)
    return found


def wrong_with(draft: Draft) -> list[str]:
    found = examine_appconf(draft.text.encode(), file=f"/etc/cluster/{draft.name}")
    return [each.what for each in found.problems if not each.warning and LATER not in each.what]


def words(draft: Draft) -> str:
    return " ".join(draft.text.split())


def test_a_database_on_its_own_volume_needs_no_word_of_anybody() -> None:
    draft = draft_of_service(POSTGRES, Around(cluster(), name="shop"))
    assert draft.name == "shop/appconf.xml"
    assert draft.opened == ()
    assert wrong_with(draft) == []
    text = words(draft)
    assert '<volumegroup name="vg_pg"/>' in text
    assert "/var/lib/postgresql, xfs on vg_pg/data" in text
    assert '<network name="public"> <!-- it listens at it: port 8080' in text
    assert "<address>10.77.1.50</address>" in text
    assert "<address>10.77.1.1</address>" not in text
    assert '<limits start="60s" stop="60m"/>' in text
    assert '<sql client="psql" user="postgres" port="5432"/>' in text
    assert text.count("<tcp ") == 2
    assert '<http name="http-8080" url="http://10.77.1.50:8080/" status="404"/>' in text


def test_what_starts_it_beside_the_cluster_is_said_with_its_mend() -> None:
    unit = ProgramUnit(
        "postgresql@15-main.service",
        "enabled",
        active=True,
        starters=(Starter("pg.timer", trigger=True, at_boot=True, active=True),),
    )
    text = words(draft_of_service(POSTGRES, Around(cluster(), unit)))
    assert "is enabled: every boot would start it. On both nodes: systemctl disable" in text
    assert "pg.timer starts postgresql@15-main.service when its time comes" in text
    assert "systemctl disable pg.timer; systemctl stop pg.timer" in text


def test_data_on_the_root_file_system_is_left_open_and_the_way_is_told() -> None:
    root = SeenMount("/", "/dev/vda1", "ext4")
    folder = SeenFolder("/var/lib/app", "app writes x there", root)
    seen = replace(POSTGRES, folders=(folder,), in_groups=())
    draft = draft_of_service(seen, Around(cluster()))
    assert draft.opened == ("<volumegroup> name: the volume group that its data is moved to",)
    assert len(wrong_with(draft)) == 1
    assert "cp -a /var/lib/app/. there" in words(draft)


def test_the_group_of_the_system_is_no_group_of_an_application() -> None:
    root = SeenMount("/", "/dev/mapper/vg0-root", "ext4", "vg0", "root")
    data = replace(DATA, volume_group="vg0")
    seen = replace(
        POSTGRES,
        folders=(SeenFolder("/var/lib/postgresql", "it writes", data),),
        in_groups=(root, data),
    )
    text = words(draft_of_service(seen, Around(cluster())))
    assert "/ of the system lies in the volume group vg0 too" in text


def test_an_agent_gets_its_required_parameters_left_open() -> None:
    seen = replace(
        POSTGRES, asked="ocf:heartbeat:pgsql", unit=None, required=("pgdata",), addresses=()
    )
    draft = draft_of_service(seen, Around())
    assert '<ocf agent="ocf:heartbeat:pgsql">' in draft.text
    assert "<parameter> value: the value of pgdata" in draft.opened
    assert "<network> name: a network of clconf.xml" in draft.opened
    assert all("the draft leaves it open" in each for each in wrong_with(draft))


def test_a_first_address_stays_with_the_node_where_no_cluster_tells() -> None:
    draft = draft_of_service(POSTGRES, Around())
    assert "<address>10.77.1.1</address>" not in draft.text
    assert "<address>10.77.1.50</address>" in draft.text
    assert draft.opened == ("<network> name: the network of clconf.xml that 10.77.1.50 lies in",)


def test_names_of_processes_cannot_leave_their_comment() -> None:
    evil = SeenProcess(7, 1, "x", "--><evil/><!--\x1b[31m--- --password=geheim", "root", 1.0)
    draft = draft_of_service(replace(POSTGRES, processes=(evil,)), Around(cluster()))
    assert wrong_with(draft) == []
    assert "\x1b" not in draft.text
    assert "geheim" not in draft.text
