"""A container by Quadlet: a page in it stores numbers, and each has to be found once."""

from __future__ import annotations

import re
from typing import Final

from hapair_lab.applications.application import SAMPLES, RealApplication
from hapair_lab.errors import LabError
from hapair_lab.lab import Lab
from hapair_lab.machine import Machine
from hapair_lab.more_packages import CONTAINERS_BOOTED
from hapair_lab.recipe import PAYLOAD

DATA: Final = "/srv/site"
STORED: Final = f"{DATA}/ledger.txt"
ROOT: Final = "/var/tmp/site"  # noqa: S108 - of a guest
PAGE: Final = "www/cgi-bin/ledger"
# What busybox knows of dd, and that its server closes each connection.
OF_BUSYBOX: Final = {
    "/srv/www/": "/data/",
    "fdatasync": "fsync",
    "Content-Type": "Connection: close\\nContent-Type",
}
# What a registry would have: a server, a shell, a page, and nothing else.
IMAGE: Final = (
    f"mkdir {ROOT}/bin && cp /bin/busybox {ROOT}/bin && "
    f"for name in sh httpd printf dd; do ln -s busybox {ROOT}/bin/$name; done && "
    """tar -C {root} -c . | podman import -c 'CMD ["/bin/httpd","-f","-p","8080","-h","/www"]' """
    "- localhost/site:1"
).replace("{root}", ROOT)


def prepare(lab: Lab) -> None:
    """Do what the README says; the image is made on node1 and brought to node2."""
    node1 = lab.node1
    page = (PAYLOAD / "ledger.cgi").read_text()
    for theirs, here in OF_BUSYBOX.items():
        page = page.replace(theirs, here)
    node1.put(f"{ROOT}/{PAGE}", page, mode=0o755)
    node1.put(f"{ROOT}/www/alive.html", "the site is alive\n")
    node1.check(IMAGE)
    node1.check("podman save localhost/site:1 | ssh node2 podman load")
    for node in lab.nodes:
        node.check(
            "mkdir -p /etc/containers/systemd && "
            f"cp {SAMPLES}/container/site.container /etc/containers/systemd/ && "
            "systemctl daemon-reload"
        )
    node1.check(["touch", STORED])


def numbers(node: Machine) -> list[int]:
    return [int(whole) for whole in re.findall(r"<(\d+)>", node.get(STORED).decode())]


def check(node: Machine) -> None:
    """Nothing is left of the containers that ran before, here or there."""
    left = node.check("podman ps --all --format '{{.Names}} {{.State}}'").splitlines()
    if left != ["systemd-site running"]:
        raise LabError(f"{node.name}: there should be one container that runs: {left}")


CONTAINER: Final = RealApplication(
    name="container",
    mount_point=DATA,
    address="10.77.1.59",
    port=8080,
    speaks="cgi-bin",
    main="httpd",
    prepare=prepare,
    numbers=numbers,
    check=check,
    booted=CONTAINERS_BOOTED,
)
