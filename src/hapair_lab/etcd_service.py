"""etcd as the witness of the lab: Debian's package on ``outside``, for the nodes alone.

The package is part of the image, and its unit is masked: a lab without it pays nothing.
"""

from __future__ import annotations

import hashlib
import ssl
from typing import Final

from hapair_lab.lab import Lab
from hapair_lab.machine import Machine
from hapair_lab.witness_service import ADDRESS

UNIT: Final = "etcd.service"
PORT: Final = 2379
URL: Final = f"https://{ADDRESS}:{PORT}"
FOLDER: Final = "/etc/etcd"
NODE_CERTIFICATE: Final = "/etc/cluster/keys/node.crt"
START_S: Final = 120.0

SETTINGS: Final = f"""\
ETCD_LISTEN_CLIENT_URLS={URL}
ETCD_ADVERTISE_CLIENT_URLS={URL}
ETCD_CERT_FILE={FOLDER}/server.crt
ETCD_KEY_FILE={FOLDER}/server.key
ETCD_TRUSTED_CA_FILE={FOLDER}/trusted.crt
ETCD_CLIENT_CERT_AUTH=true
"""
# The gateway calls etcd as a client with the same certificate, so etcd must trust it as well.
MAKE_PAIR: Final = (
    f"mkdir -p {FOLDER} && cd {FOLDER} && openssl req -x509 -newkey ec"
    " -pkeyopt ec_paramgen_curve:P-256 -noenc -days 36500 -subj /CN=etcd"
    " -keyout server.key -out server.crt 2>&1 && chown -R etcd: . && chmod 600 server.key"
)
ASK: Final = f"""\
import ssl, urllib.request
context = ssl._create_unverified_context()
print(urllib.request.urlopen("{URL}/health", context=context, timeout=10).read())
"""


def install(lab: Lab) -> str:
    """Let etcd serve a cluster that has been built; return the element for clconf.xml."""
    outside = lab.outside
    outside.note(f"{outside.name}: etcd is set up")
    outside.check(MAKE_PAIR)
    server = outside.get(f"{FOLDER}/server.crt")
    certificates = [server, *(node.get(NODE_CERTIFICATE) for node in lab.nodes)]
    outside.put(f"{FOLDER}/trusted.crt", b"".join(certificates))
    outside.put("/etc/default/etcd", SETTINGS)
    # The package has enabled it; only the mask is in the way.
    outside.check(f"systemctl unmask {UNIT} && systemctl start {UNIT}", timeout_s=START_S)
    pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(server.decode())).hexdigest()
    return f'<witness kind="etcd" at="{URL}" pin="{pin}"/>'


def answers_strangers(machine: Machine) -> bool:
    """Tell whether etcd answers somebody who shows no certificate."""
    return machine.run(["python3", "-c", ASK]).ok
