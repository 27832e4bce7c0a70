"""What the monitors of appconf.xml become."""

from hapair.config.appconf import read_appconf
from hapair.config.format_monitors import EXPRESSION, EXPRESSION_MAX
from hapair.config.kinds import Wrong
from hapair.model.application import Application
from hapair.model.monitor import (
    HANGS_S,
    MONITORS_MAX,
    NO_MONITORS,
    CheckProbe,
    FileSystemProbe,
    HttpProbe,
    LogProbe,
    Monitor,
    Monitors,
    OcfProbe,
    ProcessProbe,
    ResourcesProbe,
    SqlProbe,
    TcpProbe,
    UnitProbe,
)
from hapair.model.watched import watched

HEAD = '<application name="orders" preferred="node1"><volumegroup name="vg"/>'
AGENT = '<run><ocf agent="ocf:heartbeat:pgsql"/></run>'


def monitors(written: str) -> Monitors:
    read = read_appconf(f"{HEAD}{AGENT}{written}</application>".encode(), file="appconf.xml")
    assert isinstance(read, Application), read
    return read.monitors


def probe(written: str) -> object:
    (made,) = monitors(f"<monitors>{written}</monitors>").each
    return made.probe


def test_none_are_written_and_all_is_as_usual() -> None:
    assert monitors("") == NO_MONITORS == monitors("<monitors/>")


def test_how_they_are_asked() -> None:
    written = """
        <monitors restarts="0" period="1h">
          <tcp name="front" address="::1" port="80"
               interval="500ms" timeout="2s" failures="3" delay="1m"/>
          <ocf/>
        </monitors>
    """
    assert monitors(written) == Monitors(
        0,
        3600.0,
        (
            Monitor("front", TcpProbe("::1", 80), 0.5, 2.0, 3, 60.0),
            Monitor("ocf", OcfProbe()),
        ),
    )


def test_a_file_system_has_more_time_whether_it_is_written_or_not() -> None:
    written = monitors('<monitors><filesystem space_warn="80"/></monitors>').each
    always = watched(Application("a", "node1", volume_groups=("vg",)))
    assert [each.timeout_s for each in (*written, *always)] == [HANGS_S, HANGS_S]


def too_many(around: str, own: str, count: int) -> str | None:
    checks = "".join(f'<check name="c{number}" path="/a"/>\n' for number in range(count))
    text = f"{HEAD}{around}<monitors>\n{own}{checks}</monitors></application>"
    read = read_appconf(text.encode(), file="appconf.xml")
    if isinstance(read, Application):
        assert len(watched(read)) <= MONITORS_MAX
        return None
    (problem,) = read
    assert problem.mend == "remove some, or let one check ask about several things"
    return f"{problem.where}: {problem.what}"


def test_so_many_monitors_are_possible_with_those_that_are_always_there() -> None:
    assert too_many("", "", MONITORS_MAX - 1) is None
    assert too_many("", "", MONITORS_MAX) == (
        "appconf.xml:257: 256 monitors are too many: at most 256 are possible with filesystem"
    )
    assert too_many(AGENT, "", MONITORS_MAX - 2) is None
    assert "with filesystem and process" in str(too_many(AGENT, "", MONITORS_MAX - 1))
    assert too_many(AGENT, "<process/><filesystem/>", MONITORS_MAX - 2) is None
    assert str(too_many(AGENT, "<process/><filesystem/>", MONITORS_MAX - 1)).endswith("possible")


def test_a_monitor_of_each_kind_with_the_least_that_it_needs() -> None:
    assert probe("<filesystem/>") == FileSystemProbe()
    assert probe("<process/>") == ProcessProbe()
    assert probe('<http url="http://a"/>') == HttpProbe("http://a")
    assert probe('<check path="/bin/true"/>') == CheckProbe("/bin/true")
    assert probe('<unit unit="a.service"/>') == UnitProbe("a.service")
    assert probe('<log path="/var/log/a" match="PANIC"/>') == LogProbe("/var/log/a", "PANIC")
    assert probe("<resources/>") == ResourcesProbe()
    assert probe('<sql client="psql"/>') == SqlProbe("psql", user="postgres")
    assert probe('<sql client="mysql"/>') == SqlProbe("mysql")


def test_a_monitor_of_each_kind_with_all_that_it_takes() -> None:
    assert probe('<filesystem space_warn="80" inodes_warn="70"/>') == FileSystemProbe(80, 70)
    assert probe(
        '<process match="a b" program="pg" pid_file="/run/a" least="2" most="5"/>'
    ) == ProcessProbe("a b", "pg", "/run/a", 2, 5)
    assert probe(
        '<http url="https://[::1]:8443/a?b=c" status="204" text="ok" certificate_days="14"/>'
    ) == HttpProbe("https://[::1]:8443/a?b=c", 204, "ok", 14)
    assert probe('<check path="/bin/c" arguments="-w \'1 2\'"/>') == CheckProbe(
        "/bin/c", "-w '1 2'"
    )
    assert probe('<ocf level="10"/>') == OcfProbe(10)
    assert probe('<resources memory="2G" cpu="150" out_of_memory="no"/>') == ResourcesProbe(
        2 * 1024**3, 150, out_of_memory=False
    )
    assert probe(
        '<sql client="mysql" database="shop" user="app" address="127.0.0.1" port="3306" '
        'statement="SELECT 2"/>'
    ) == SqlProbe("mysql", "shop", "app", "127.0.0.1", 3306, "SELECT 2")


def test_of_file_systems_and_processes_one_monitor_is_always_there() -> None:
    def names(written: str) -> list[str]:
        read = read_appconf(f"{written}</application>".encode(), file="appconf.xml")
        assert isinstance(read, Application), read
        return [each.name for each in watched(read)]

    assert names('<application name="orders" preferred="node1">') == []
    assert names(HEAD) == ["filesystem"]
    assert names(f"{HEAD}{AGENT}") == ["filesystem", "process"]
    own = '<monitors><process name="db"/><filesystem name="disk"/><ocf/></monitors>'
    assert names(f"{HEAD}{AGENT}{own}") == ["db", "disk", "ocf"]


def test_an_expression_that_nobody_could_read_is_refused() -> None:
    assert EXPRESSION.take("x" * EXPRESSION_MAX) == "x" * EXPRESSION_MAX
    assert isinstance(EXPRESSION.take("x" * (EXPRESSION_MAX + 1)), Wrong)
