"""Real applications from their Debian packages, made from the examples that our package brings.

``play`` plays one story for each of ``ALL``: what befalls it, how long nobody could write, and
whether every acknowledged write is there once.
"""

from typing import Final

from hapair_lab.applications.apache import APACHE
from hapair_lab.applications.application import RealApplication
from hapair_lab.applications.container import CONTAINER
from hapair_lab.applications.daemon import DAEMON
from hapair_lab.applications.mail import MAIL
from hapair_lab.applications.mariadb import MARIADB
from hapair_lab.applications.nfs import NFS
from hapair_lab.applications.postgresql import POSTGRESQL
from hapair_lab.applications.redis import REDIS
from hapair_lab.applications.samba import SAMBA

ALL: Final[dict[str, RealApplication]] = {
    each.name: each
    for each in (APACHE, CONTAINER, DAEMON, MAIL, MARIADB, NFS, POSTGRESQL, REDIS, SAMBA)
}
