"""Parameters of fence agents, and URLs: what of them nobody else may read, or is not to be set."""

import re
from typing import Final

from hapair.model.alerts import Method
from hapair.model.cluster import Cluster, FenceMethod

# In front of a parameter's value: the path of the file that holds it.
IN_FILE: Final = "file:"
# hapair itself says what an agent is to do, and a log that it writes may hold a password.
NOT_TO_BE_SET: Final = (
    "action", "option", "agent", "debug", "debug_file", "verbose", "verbose_level",
)  # fmt: skip
_SECRETS: Final = (
    "passw", "passphrase", "pwd", "secret", "token", "key", "community", "credential",
)  # fmt: skip
# A token, or a UUID, as chat services give them; words and numbers alone are none.
_TOKEN: Final = re.compile(
    r"(?=[A-Za-z0-9]*[0-9])(?=[A-Za-z0-9]*[A-Za-z])[A-Za-z0-9]{16,}"
    r"|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
)
_PATHS: Final = ("file", "path", "script")  # The place of a secret is no secret.


def file_of(value: str) -> str:
    """Return the path of the file that holds the value; empty when it is the value itself."""
    return value.removeprefix(IN_FILE) if value.startswith(IN_FILE) else ""


def named_like_a_secret(parameter: str) -> bool:
    """Tell from a parameter's name whether its value is a password or the like."""
    name = parameter.lower()
    return any(word in name for word in _SECRETS) and not any(word in name for word in _PATHS)


def secret_files(cluster: Cluster) -> tuple[str, ...]:
    """Return the files that hold values of parameters, or what receivers of alerts ask for."""
    values = [value for method in cluster.fence_methods for _, value in method.parameters]
    told = cluster.alerts.receivers
    files = [
        *map(file_of, values),
        *(file for each in told for file in (each.secret, each.url_file)),
    ]
    return tuple(dict.fromkeys(file for file in files if file))


def written_secrets(cluster: Cluster) -> tuple[tuple[FenceMethod, str], ...]:
    """Return the parameters whose secret values stand in the configuration itself."""
    return tuple(
        (method, name)
        for method in cluster.fence_methods
        for name, value in method.parameters
        if named_like_a_secret(name) and not file_of(value)
    )


def for_root_only(cluster: Cluster) -> bool:
    """Tell whether files that hold this configuration must not be read by others.

    Any parameter counts, and any URL: its name need not tell that it is a secret.
    """
    urls = (each.to for each in cluster.alerts.receivers if each.method is Method.WEBHOOK)
    return any(method.parameters for method in cluster.fence_methods) or any(urls)


def holds_secret(url: str) -> bool:
    """Tell whether something in a URL looks like a secret."""
    _, _, beyond_host = url.partition("://")
    _, _, path = beyond_host.partition("/")
    _, _, query = path.partition("?")
    names = (each.partition("=")[0] for each in query.split("&"))
    return bool(_TOKEN.search(path)) or any(map(named_like_a_secret, names))
