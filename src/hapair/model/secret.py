"""Parameters of fence agents: those that nobody else may read, those that are not to be set."""

from typing import Final

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

    Any parameter counts: its name need not tell that it is a secret.
    """
    return any(method.parameters for method in cluster.fence_methods)
