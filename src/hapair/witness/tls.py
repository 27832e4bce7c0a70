"""The witness's own key and certificate, and whom it lets in."""

import hashlib
import os
import ssl
import subprocess
from asyncio import sslproto
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from hapair.durable import sync_folder
from hapair.rpc.messages import RpcError

VALID_DAYS: Final = 36500  # The certificate is pinned, not trusted by date.
OPENSSL_TIMEOUT_S: Final = 60.0
BUFFER_BYTES: Final = 16 * 1024
NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL.
REQUEST: Final = """\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = hapair witness
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
"""


def use_small_buffers() -> None:
    """Let each connection of this process have a small buffer instead of asyncio's 256 KB.

    Requests are short, and thousands of nodes keep a connection open.
    """
    sslproto.SSLProtocol.max_size = BUFFER_BYTES


def key_file(folder: Path) -> Path:
    return folder / "server.key"


def certificate_file(folder: Path) -> Path:
    return folder / "server.crt"


def ensure_pair(folder: Path) -> None:
    """Make a P-256 key and a certificate unless they are there; both or neither."""
    key, certificate = key_file(folder), certificate_file(folder)
    if key.exists() and certificate.exists():
        return
    drafts = folder / "server.key.new", folder / "server.crt.new"
    drafts[0].unlink(missing_ok=True)
    drafts[0].touch(0o600)
    argv = (
        "openssl", "req", "-x509", "-config", "/dev/stdin", "-newkey", "ec",
        "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-sha256", "-days", str(VALID_DAYS),
        "-keyout", str(drafts[0]), "-out", str(drafts[1]),
    )  # fmt: skip
    try:
        made = subprocess.run(
            argv,
            input=REQUEST.encode(),
            capture_output=True,
            check=False,
            timeout=OPENSSL_TIMEOUT_S,
        )
    except OSError as error:
        raise RpcError(f"openssl cannot be run: {error}", "apt install openssl") from None
    if made.returncode != 0:
        raise RpcError(f"openssl made no key: {made.stderr.decode('utf-8', 'replace').strip()}")
    for draft in drafts:
        with draft.open("rb") as file:
            os.fsync(file.fileno())
    drafts[1].replace(certificate)
    drafts[0].replace(key)
    sync_folder(folder)  # Another pair, after a power cut, would be another witness to everybody.


def pin(folder: Path) -> str:
    """Return the SHA-256 of the server's certificate in hexadecimal digits."""
    der = ssl.PEM_cert_to_DER_cert(certificate_file(folder).read_text())
    return hashlib.sha256(der).hexdigest()


def server_context(folder: Path, certificates: Iterable[str]) -> ssl.SSLContext:
    """Let in who presents one of these certificates, or none: that one may only join."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= NO_CHECK_TIME  # A node whose clock is wrong may ask all the same.
    context.num_tickets = 0  # Connections are kept; nobody resumes one.
    context.load_cert_chain(certificate_file(folder), key_file(folder))
    admit(context, certificates)
    return context


def admit(context: ssl.SSLContext, certificates: Iterable[str]) -> None:
    """From now on let these in too. Whose they are is looked up with each request."""
    together = "\n".join(certificates)
    if together:
        context.load_verify_locations(cadata=together)
