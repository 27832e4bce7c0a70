"""The format of <monitors> in appconf.xml."""

import re
import shlex
from typing import Final, TypeVar

from hapair.config import kinds
from hapair.config.addresses import LOCAL_OR_REMOTE
from hapair.config.document import shown
from hapair.config.grammar import MANY, Attribute, Child, Element
from hapair.config.kinds import Kind, Wrong
from hapair.model.monitor import HANGS_S, MONITORS_MAX, FileSystemProbe, Monitor, Monitors

T = TypeVar("T")

LIMIT_MAX_S: Final = 3600.0
PERIOD_MAX_S: Final = 7 * 24 * 3600.0
EXPRESSION_MAX: Final = 1000
PORT_MAX: Final = 65535
_STANDARD: Final = Monitor("", FileSystemProbe())


def _read_expression(written: str) -> str | Wrong:
    if not written:
        return Wrong("it is empty", "write a regular expression, or a part of the text")
    if len(written) > EXPRESSION_MAX:
        return Wrong(f"it has {len(written)} characters", f"write at most {EXPRESSION_MAX}")
    try:
        re.compile(written)
    except re.error as error:
        mend = "write it as Python's re does; before . * + ? ( ) [ ] and | stands \\ to mean it"
        return Wrong(f"{shown(written)} is no regular expression: {error}", mend)
    return written


EXPRESSION: Final = Kind("a regular expression", _read_expression, free=True)

_URL: Final = r"https?://([A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!-~]*)?"


def _read_url(written: str) -> str | Wrong:
    mend = 'write it like "http://127.0.0.1:8080/health" or "https://shop.example.org/"'
    if re.match("https?://[^/]*@", written):
        mend = "write it without; an application answers its health page without a password"
        return Wrong("it names a user or a password", mend)
    found = re.fullmatch(_URL, written)
    if not found:
        return Wrong(f"{shown(written)} is no URL of http or https", mend)
    if found.group(2) and not 1 <= int(found.group(2)[1:]) <= PORT_MAX:
        bounds = f"write a port from 1 to {PORT_MAX}"
        return Wrong(f"{shown(written)} has an impossible port", bounds)
    return written


URL: Final = Kind("a URL of http or https", _read_url, _URL)


def _read_arguments(written: str) -> str | Wrong:
    try:
        shlex.split(written)
    except ValueError as error:
        # What stands there is not shown: it may be a password.
        return Wrong(f"they cannot be split: {str(error).lower()}", "end each quotation")
    return written


ARGUMENTS: Final = Kind("any text; quotation marks as in a shell", _read_arguments, free=True)


def _read_size(written: str) -> int | Wrong:
    if not re.fullmatch("[1-9][0-9]{0,8}[KMG]", written):
        return Wrong(f"{shown(written)} is no size", 'write it like "512M" or "4G"')
    return int(written[:-1]) * kinds.RATE_UNITS[written[-1]]


SIZE: Final = Kind("bytes, e.g. 512M or 4G", _read_size, "[1-9][0-9]{0,8}[KMG]")

NAME: Final = Attribute(
    "name", kinds.SIMPLE_NAME, "Its name in all that is shown.", default_about="its kind"
)
INTERVAL: Final = Attribute(
    "interval",
    kinds.duration(0.1, LIMIT_MAX_S),
    "The time from one check to the next.",
    default=kinds.duration_text(_STANDARD.interval_s),
)
TIMEOUT: Final = Attribute(
    "timeout",
    kinds.duration(0.1, LIMIT_MAX_S),
    "A check that takes longer failed; while it hangs no second one is begun.",
    default=kinds.duration_text(_STANDARD.timeout_s),
)
FILE_SYSTEM_TIMEOUT: Final = Attribute(
    TIMEOUT.name,
    TIMEOUT.kind,
    "A file system that gives no answer for longer hangs. One that has much to write may let a "
    "single write wait for long.",
    default=kinds.duration_text(HANGS_S),
)
FAILURES: Final = Attribute(
    "failures", kinds.whole(1, 100), "So many in a row count as one failure.", default="1"
)
DELAY: Final = Attribute(
    "delay",
    kinds.duration(0, LIMIT_MAX_S),
    "Failures before so long after the start do not count.",
    default="0s",
)
_HOW: Final = (NAME, INTERVAL, TIMEOUT, FAILURES, DELAY)
_PERCENT: Final = kinds.whole(1, 100)


def _required(name: str, kind: Kind[T], about: str) -> Attribute[T]:
    return Attribute(name, kind, about, required=True)


SPACE_WARN: Final = Attribute(
    "space_warn", _PERCENT, "Warn when so many percent of the space are in use.", default="90"
)
INODES_WARN: Final = Attribute(
    "inodes_warn", _PERCENT, "Warn when so many percent of the inodes are in use.", default="90"
)
FILE_SYSTEM: Final = Element(
    "filesystem",
    "The file systems are mounted from their devices, can be written, and answer in time. They are "
    "always watched; this changes how.",
    (NAME, INTERVAL, FILE_SYSTEM_TIMEOUT, FAILURES, DELAY, SPACE_WARN, INODES_WARN),
    example='<filesystem space_warn="80"/>',
)
PROCESS_MATCH: Final = Attribute("match", EXPRESSION, "Found in their command line.")
PROCESS_PROGRAM: Final = Attribute(
    "program", kinds.text(), "Their name, as `ps -o comm` prints it (at most 15 characters)."
)
PROCESS_PID_FILE: Final = Attribute(
    "pid_file", kinds.absolute_path(), "A file that holds the number of the process."
)
PROCESS_LEAST: Final = Attribute("least", kinds.whole(1, 100_000), "At least so many.", default="1")
PROCESS_MOST: Final = Attribute(
    "most", kinds.whole(1, 100_000), "At most so many.", default_about="no limit"
)
PROCESS: Final = Element(
    "process",
    "Processes of the application's own control group live, those for which all of `match`, "
    "`program` and `pid_file` hold that are written. Without any: the main process of its unit, or "
    "any process. The end of one is noticed at once. This is always watched where there is a "
    "program; a monitor that is written is watched in its place.",
    (*_HOW, PROCESS_MATCH, PROCESS_PROGRAM, PROCESS_PID_FILE, PROCESS_LEAST, PROCESS_MOST),
    example='<process program="postgres"/>',
)
TCP_ADDRESS: Final = _required("address", LOCAL_OR_REMOTE, "The address.")
TCP_PORT: Final = _required("port", kinds.whole(1, PORT_MAX), "The port.")
TCP: Final = Element(
    "tcp",
    "A port accepts connections.",
    (*_HOW, TCP_ADDRESS, TCP_PORT),
    example='<tcp address="127.0.0.1" port="5432"/>',
)
HTTP_URL: Final = _required("url", URL, "The URL.")
HTTP_STATUS: Final = Attribute(
    "status", kinds.whole(100, 599), "The status of the answer.", default="200"
)
HTTP_TEXT: Final = Attribute(
    "text", kinds.text(), "Has to stand in the first 64 KiB of the answer."
)
HTTP_DAYS: Final = Attribute(
    "certificate_days",
    kinds.whole(1, 3650),
    "The certificate has to be valid; a warning where it is not for so many more days.",
    default_about="it is not looked at",
)
HTTP: Final = Element(
    "http",
    "A URL answers.",
    (*_HOW, HTTP_URL, HTTP_STATUS, HTTP_TEXT, HTTP_DAYS),
    example='<http url="http://127.0.0.1:8080/health"/>',
)
CHECK_PATH: Final = _required("path", kinds.absolute_path(), "The program.")
CHECK_ARGUMENTS: Final = Attribute("arguments", ARGUMENTS, "Its arguments; no shell runs.")
CHECK: Final = Element(
    "check",
    "A script, or a Nagios plug-in unchanged: exit code 0 is good, 1 is good with a warning, 3 is "
    "not known (a warning), others are failures. Performance data is shown.",
    (*_HOW, CHECK_PATH, CHECK_ARGUMENTS),
    example='<check path="/usr/lib/nagios/plugins/check_ping"/>',
    private=True,
)
UNIT_UNIT: Final = _required("unit", kinds.UNIT_NAME, "The unit's full name.")
UNIT: Final = Element(
    "unit",
    "A systemd unit is active.",
    (*_HOW, UNIT_UNIT),
    example='<unit unit="pgbouncer.service"/>',
)
OCF_LEVEL: Final = Attribute(
    "level", kinds.whole(0, 100), "How thoroughly: OCF_CHECK_LEVEL.", default="0"
)
OCF: Final = Element(
    "ocf",
    "The monitor of the application's own OCF agent.",
    (*_HOW, OCF_LEVEL),
    example='<ocf level="10"/>',
)
LOG_PATH: Final = _required("path", kinds.absolute_path(), "A regular file; it may be rotated.")
LOG_MATCH: Final = _required("match", EXPRESSION, "A new line in which this is found is a failure.")
LOG: Final = Element(
    "log",
    "No new line of a file matches.",
    (*_HOW, LOG_PATH, LOG_MATCH),
    example='<log path="/srv/orders/log" match="PANIC"/>',
)
MEMORY: Final = Attribute(
    "memory", SIZE, "More memory in use is a failure.", default_about="no limit"
)
CPU: Final = Attribute(
    "cpu",
    kinds.whole(1, 100_000),
    "More percent of one processor in use, over an interval, is a failure.",
    default_about="no limit",
)
OUT_OF_MEMORY: Final = Attribute(
    "out_of_memory",
    kinds.flag(),
    "A process that was killed for want of memory is a failure.",
    default="yes",
)
RESOURCES: Final = Element(
    "resources",
    "What the application's control group uses.",
    (*_HOW, MEMORY, CPU, OUT_OF_MEMORY),
    example='<resources memory="4G"/>',
)
SQL_CLIENT: Final = _required(
    "client",
    kinds.choice("psql", "mysql"),
    "The client program; for `mysql` also `mariadb`, where only that is installed.",
)
SQL_DATABASE: Final = Attribute("database", kinds.text(), "The database.")
SQL_USER: Final = Attribute(
    "user",
    kinds.text(),
    "The account of the system that the client runs as.",
    default_about="`postgres` for psql, `root` for mysql",
)
SQL_ADDRESS: Final = Attribute(
    "address", LOCAL_OR_REMOTE, "The server's address.", default_about="the local socket"
)
SQL_PORT: Final = Attribute(
    "port", kinds.whole(1, PORT_MAX), "Its port.", default_about="the client's own"
)
SQL_STATEMENT: Final = Attribute("statement", kinds.text(), "What is asked.", default="SELECT 1")
SQL: Final = Element(
    "sql",
    "A database answers its own client program.",
    (*_HOW, SQL_CLIENT, SQL_DATABASE, SQL_USER, SQL_ADDRESS, SQL_PORT, SQL_STATEMENT),
    example='<sql client="psql"/>',
)
RESTARTS: Final = Attribute(
    "restarts",
    kinds.whole(0, 100),
    "Restarts here before it moves.",
    default=str(Monitors().restarts),
)
PERIOD: Final = Attribute(
    "period",
    kinds.duration(1, PERIOD_MAX_S),
    "A restart counts for so long.",
    default=kinds.duration_text(Monitors().period_s),
)
MONITORS: Final = Element(
    "monitors",
    "What is watched while the application runs, and how often it is restarted here before it "
    "moves. Its file systems and its processes always are. With those, at most "
    f"{MONITORS_MAX} monitors.",
    (RESTARTS, PERIOD),
    (
        Child(FILE_SYSTEM),
        *(
            Child(each, 0, MANY)
            for each in (PROCESS, TCP, HTTP, CHECK, UNIT, OCF, LOG, RESOURCES, SQL)
        ),
    ),
    example='<monitors restarts="3" period="10m"/>',
    private=True,
)
