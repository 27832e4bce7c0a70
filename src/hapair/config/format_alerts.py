"""The part of clconf.xml that says who is told what needs a person: <alerts>."""

import re
from typing import Final

from hapair.config import kinds
from hapair.config.grammar import Attribute, Child, Element
from hapair.config.kinds import Wrong
from hapair.model.alerts import Alerts, Carrier, Level, Security

RECEIVERS_MAX: Final = 16
URL_MAX: Final = 2000
_HOST: Final = r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9]([A-Za-z0-9.\-]{0,251}[A-Za-z0-9])?)"
_PORT: Final = (
    r"(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
)
_MAILBOX: Final = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~\-]+(@[A-Za-z0-9]([A-Za-z0-9.\-]*[A-Za-z0-9])?)?"

HOST_AND_PORT: Final = kinds.matching(
    rf"{_HOST}:{_PORT}",
    "host:port",
    'write it like "mail.example.net:25", IPv6 like "[fd77::9]:25"',
    length_max=300,
)
MAILBOX: Final = kinds.matching(
    _MAILBOX,
    "a mail address",
    'write it like "admin@example.net"',
    length_max=254,
)
MAILBOXES: Final = kinds.matching(
    rf"{_MAILBOX}( {_MAILBOX})*",
    "mail addresses separated by spaces",
    'write them like "admin@example.net duty@example.net"',
    length_max=1000,
)
_URL: Final = rf"https?://{_HOST}(:{_PORT})?(/[A-Za-z0-9._~%!$&'()*+,;=:@/?\-]*)?"


def _read_url(written: str) -> str | Wrong:
    """Read a URL; a wrong one is not shown: it may hold a password."""
    if re.fullmatch(_URL, written, re.ASCII) and len(written) <= URL_MAX:
        return written
    return Wrong(
        "it is no URL of http or https, or it holds a user's name",
        'write it like "https://hooks.example.net/alerts"',
    )


URL: Final = kinds.Kind("a URL of http or https", _read_url, _URL, length_max=URL_MAX)
HEADER_NAME: Final = kinds.matching(
    r"[A-Za-z][A-Za-z0-9\-]*",
    "the name of a header",
    'write it like "Authorization"',
    length_max=64,
)

NAME: Final = Attribute(
    "name",
    kinds.SIMPLE_NAME,
    "A name for this receiver: `clalert test NAME` tries it.",
    required=True,
)
FROM: Final = Attribute(
    "from", kinds.choice(*Level), "The least severity that it is told.", default=Level.WARNING
)
TIMEOUT: Final = Attribute(
    "timeout",
    kinds.duration(1, 300),
    "How long to wait until it has taken a letter. One that hangs delays no other.",
    default="30s",
)
SECRET: Final = Attribute(
    "secret",
    kinds.absolute_path(),
    "A file that holds the secret; on both nodes, readable by root only.",
)
HOOK_PATH: Final = Attribute("path", kinds.absolute_path(), "The program.", required=True)
HOOK: Final = Element(
    "hook",
    "Runs a program as root, with the letter as JSON on its standard input and its subject in "
    "`HAPAIR_SUBJECT`. Exit code 0: it is told; 65: it will never be taken; "
    "anything else: it is tried again.",
    (NAME, HOOK_PATH, FROM, TIMEOUT),
    example='<hook name="pager" path="/etc/cluster/alert"/>',
)
MAIL_TO: Final = Attribute("to", MAILBOXES, "Who gets it.", required=True)
MAIL_SERVER: Final = Attribute(
    "server", HOST_AND_PORT, "The SMTP server: host:port.", default="localhost:25"
)
MAIL_SENDER: Final = Attribute(
    "sender", MAILBOX, "The sender's address.", default_about="hapair@ and the name of the node"
)
MAIL_SECURITY: Final = Attribute(
    "security",
    kinds.choice(*Security),
    "`starttls`: TLS is asked for before anything else; `tls`: from the first byte on. The "
    "server's certificate must be one that the system trusts.",
    default=Security.NONE,
)
MAIL_USER: Final = Attribute(
    "user", kinds.text(), "Who logs in at the server, with the `secret` as password."
)
MAIL: Final = Element(
    "mail",
    "Sends a mail by SMTP.",
    (NAME, MAIL_TO, MAIL_SERVER, MAIL_SENDER, MAIL_SECURITY, MAIL_USER, SECRET, FROM, TIMEOUT),
    example='<mail name="admins" to="admin@example.net"/>',
)
WEBHOOK_URL: Final = Attribute("url", URL, "Where to. Either this or `url-file`.")
WEBHOOK_URL_FILE: Final = Attribute(
    "url-file",
    kinds.absolute_path(),
    "A file that holds the URL, of https, where the URL itself is a secret; on both nodes, "
    "readable by root only.",
)
WEBHOOK_HEADER: Final = Attribute(
    "header", HEADER_NAME, "The header whose value is the `secret`.", default="Authorization"
)
WEBHOOK: Final = Element(
    "webhook",
    "Posts the letter as JSON. An answer 2xx: it is told; one that refuses this letter (as 413): "
    "less is sent; anything else: it is tried again. "
    "Redirections are not followed.",
    (NAME, WEBHOOK_URL, WEBHOOK_URL_FILE, WEBHOOK_HEADER, SECRET, FROM, TIMEOUT),
    example='<webhook name="chat" url="https://hooks.example.net/alerts"/>',
)
SYSLOG_TO: Final = Attribute(
    "to", HOST_AND_PORT, "The server: host:port.", default_about="the syslog of this machine"
)
SYSLOG_CARRIER: Final = Attribute(
    "protocol",
    kinds.choice(*Carrier),
    "How it is carried there. With `udp` nobody knows whether it arrived.",
    default=Carrier.UDP,
)
SYSLOG: Final = Element(
    "syslog",
    "Writes each message to syslog, to a server as RFC 5424 says.",
    (NAME, SYSLOG_TO, SYSLOG_CARRIER, FROM, TIMEOUT),
    example='<syslog name="log" to="log.example.net:514"/>',
)
TRAP_TO: Final = Attribute("to", HOST_AND_PORT, "The receiver: host:port.", required=True)
TRAP_SECRET: Final = Attribute(
    "secret",
    kinds.absolute_path(),
    "A file in the format of snmp.conf(5) with the version and community or the user of SNMPv3; "
    "on both nodes, readable by root only.",
    default_about="version 2c with the community `public`",
)
TRAP_INFORM: Final = Attribute(
    "inform",
    kinds.flag(),
    "`yes`: the receiver has to acknowledge it (InformRequest), so one that does not come is sent "
    "again. With SNMPv3 a trap that it need not acknowledge is hardly ever taken.",
    default="no",
)
TRAP: Final = Element(
    "trap",
    "Sends an SNMP trap by `snmptrap` (package `snmp`).",
    (NAME, TRAP_TO, TRAP_INFORM, TRAP_SECRET, FROM, TIMEOUT),
    example='<trap name="monitoring" to="nms.example.net:162"/>',
)
REPEAT: Final = Attribute(
    "repeat",
    kinds.duration(60, 7 * 86400),
    "What still holds, and nobody answered with `clalert answer`, is told again this often.",
    default=kinds.duration_text(Alerts().repeat_s),
)
ALERTS: Final = Element(
    "alerts",
    "Who is told what needs a person: what `clstat` shows under NEEDS YOU, warnings and alarms of "
    "the history, and failovers.",
    (REPEAT,),
    tuple(Child(each, 0, RECEIVERS_MAX) for each in (HOOK, MAIL, WEBHOOK, SYSLOG, TRAP)),
    example='<alerts> with <mail name="admins" to="admin@example.net"/>',
)
