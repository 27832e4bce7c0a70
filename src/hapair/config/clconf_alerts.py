"""<alerts>: what must be true besides its grammar, and its value."""

from collections.abc import Iterator

from hapair.config import format_alerts as fmt
from hapair.config.complaints import Complaints
from hapair.config.document import Node, shown
from hapair.config.grammar import must, value_of
from hapair.model.alerts import Alerts, Carrier, Level, Method, Receiver, Security
from hapair.model.secret import holds_secret


def check_alerts(root: Node, complaints: Complaints) -> None:
    """Report receivers that share a name, and secrets that nobody or everybody would see."""
    first: dict[str, Node] = {}
    for alerts in root.named("alerts"):
        for node in alerts.children:
            name = value_of(node, fmt.NAME)
            if name is not None and first.setdefault(name, node) is not node:
                complaints.error(
                    node.line_of("name"),
                    f"<{node.name}> name",
                    f"{shown(name)} stands in line {first[name].line_of('name')} already",
                    "give each receiver a name of its own",
                )
            if node.name == Method.MAIL:
                _check_mail(node, complaints)
            if node.name == Method.WEBHOOK:
                _check_webhook(node, complaints)


def _check_mail(node: Node, complaints: Complaints) -> None:
    user, secret = "user" in node.attributes, "secret" in node.attributes
    if user and not secret:
        mend = 'add secret="/etc/cluster/mail.secret" with the password in that file'
        complaints.error(node.line_of("user"), "<mail> user", "it has no password", mend)
    elif secret and not user:
        mend = 'add user="..."'
        complaints.error(node.line_of("secret"), "<mail> secret", "it has no user", mend)
    elif user and value_of(node, fmt.MAIL_SECURITY) == Security.NONE:
        what = "the password would cross the network readable for everybody"
        mend = 'add security="starttls", or security="tls"'
        complaints.error(node.line_of("user"), "<mail> user", what, mend)


def _check_webhook(node: Node, complaints: Complaints) -> None:
    url = value_of(node, fmt.WEBHOOK_URL)
    if ("url" in node.attributes) == ("url-file" in node.attributes):
        what = "it has both a url and a url-file" if "url" in node.attributes else "it has no url"
        mend = 'write either url="https://..." or url-file="/etc/hapair/chat.url"'
        complaints.error(node.line, "<webhook> url", what, mend)
    if "secret" in node.attributes and url is not None and url.startswith("http:"):
        what = "the secret would cross the network readable for everybody"
        complaints.error(node.line_of("url"), "<webhook> url", what, "write https://")
    if url is not None and holds_secret(url):
        what = "it looks like a secret, which everybody sees who may read this file"
        mend = (
            "write it into a file for root only, on both nodes, and its name instead of it: "
            'url-file="/etc/hapair/chat.url"'
        )
        complaints.warning(node.line_of("url"), "<webhook> url", what, mend)


def hook_lines(root: Node) -> dict[str, int]:
    """Return the line in which each program stands, by its path."""
    hooks = (hook for alerts in root.named("alerts") for hook in alerts.named("hook"))
    return {must(hook, fmt.HOOK_PATH): hook.line_of("path") for hook in hooks}


def alerts_of(root: Node) -> Alerts:
    for node in root.named("alerts"):
        return Alerts(tuple(_receivers(node)), must(node, fmt.REPEAT))
    return Alerts()


def _receivers(alerts: Node) -> Iterator[Receiver]:
    for node in alerts.children:
        method = Method(node.name)
        of_mail, of_syslog = method is Method.MAIL, method is Method.SYSLOG
        secret = value_of(node, fmt.SECRET) or ""
        header = must(node, fmt.WEBHOOK_HEADER) if method is Method.WEBHOOK and secret else ""
        yield Receiver(
            name=must(node, fmt.NAME),
            method=method,
            to=_to(node, method),
            least=Level(must(node, fmt.FROM)),
            timeout_s=must(node, fmt.TIMEOUT),
            secret=secret,
            server=must(node, fmt.MAIL_SERVER) if of_mail else "",
            sender=value_of(node, fmt.MAIL_SENDER) or "",
            security=Security(must(node, fmt.MAIL_SECURITY)) if of_mail else Security.NONE,
            user=value_of(node, fmt.MAIL_USER) or "",
            header=header,
            url_file=value_of(node, fmt.WEBHOOK_URL_FILE) or "" if method is Method.WEBHOOK else "",
            carrier=Carrier(must(node, fmt.SYSLOG_CARRIER)) if of_syslog else Carrier.UDP,
            inform=method is Method.TRAP and must(node, fmt.TRAP_INFORM),
        )


def _to(node: Node, method: Method) -> str:
    match method:
        case Method.HOOK:
            return must(node, fmt.HOOK_PATH)
        case Method.MAIL:
            return must(node, fmt.MAIL_TO)
        case Method.WEBHOOK:
            return value_of(node, fmt.WEBHOOK_URL) or ""
        case Method.SYSLOG:
            return value_of(node, fmt.SYSLOG_TO) or ""
        case Method.TRAP:
            return must(node, fmt.TRAP_TO)
