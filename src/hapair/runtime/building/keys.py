"""Keys and certificates. Private keys are made where they are used and never leave that node."""

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Final

from hapair.ports.programs import CommandRunner, Finished, TimedOut

OPENSSL_TIMEOUT_S: Final = 60.0
CLUSTER_KEY: Final = "etc/cluster/keys/cluster.key"  # Below the root.
CLUSTER_KEY_BYTES: Final = 32
# DRBD takes up to 63 characters: 192 bits as hexadecimal digits.
SECRET_DIGITS: Final = 48
LABEL: Final = "hapair: secret of DRBD's connections, number "
# The certificates are pinned, not trusted by date: they last as long as the cluster.
VALID_DAYS: Final = 36500
# All that a certificate says comes from here, whatever the machine's own openssl.cnf adds.
REQUEST: Final = """\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = {node}
O = hapair cluster {cluster}
[extensions]
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyCertSign
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
subjectAltName = DNS:{node}
"""


class KeysError(ValueError):
    """A key is missing, or openssl did not do what it should; the text says why."""


def new_cluster_key() -> str:
    return secrets.token_hex(CLUSTER_KEY_BYTES) + "\n"


def replication_secret(cluster_key: bytes, number: int) -> str:
    """Return the secret of DRBD's connections; empty for number 0.

    Both nodes work it out, so that none is ever sent. Nobody who learns one can tell the others, or
    the key.

    Raises KeysError: there is no key.
    """
    if not number:
        return ""
    key = cluster_key.strip()
    if not key:
        raise KeysError("there is no cluster key, from which DRBD's secret follows")
    label = f"{LABEL}{number}".encode()
    return hmac.new(key, label, hashlib.sha256).hexdigest()[:SECRET_DIGITS]


async def openssl(run: CommandRunner, *argv: str, stdin: bytes = b"") -> str:
    match await run(("openssl", *argv), timeout_s=OPENSSL_TIMEOUT_S, stdin=stdin):
        case Finished(exit_code=0, stdout=stdout):
            return stdout
        case Finished(stderr=stderr):
            lines = stderr.strip().splitlines()
            raise KeysError(f"openssl {argv[0]}: {lines[-1] if lines else 'failed'}")
        case TimedOut(after_s):
            raise KeysError(f"openssl {argv[0]} gave no answer within {after_s:.0f} s")


async def make_pair(run: CommandRunner, folder: Path, *, node: str, cluster: str) -> None:
    """Write ``node.key`` (for root alone, P-256) and ``node.crt`` into ``folder``."""
    key, certificate = folder / "node.key", folder / "node.crt"
    key.touch(0o600)
    request = REQUEST.format(node=node, cluster=cluster).encode()
    await openssl(
        run, "req", "-x509", "-config", "/dev/stdin", "-newkey", "ec",
        "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-sha256", "-days", str(VALID_DAYS),
        "-keyout", str(key), "-out", str(certificate),
        stdin=request,
    )  # fmt: skip
