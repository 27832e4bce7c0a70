"""Ten agents of Debian's resource-agents as an administrator would use them, as data.

Their data lies below ``DATA``, on the volume of the application ``shop``: where that is not
mounted, most of them lack their configuration as well.
"""

from dataclasses import dataclass, field
from typing import Final

NAME: Final = "shop"
DATA: Final = "/srv/shop"
ADDRESS: Final = "10.77.1.60"


@dataclass(frozen=True, slots=True)
class Tried:
    """What one agent is given, what makes it fail, and how its service answers.

    All but ``parameters`` are commands of a shell. ``settings`` is run on both nodes, ``data`` on
    the one where ``DATA`` is mounted, ``fails`` and ``answers`` where it runs.
    """

    answers: str  # Ends with success while it serves.
    parameters: dict[str, str] = field(default_factory=dict)
    settings: str = "true"
    data: str = "true"
    processes: str = ""  # The name of its main process, for pidof and pkill.
    fails: str = ""  # Empty: the oldest of its processes is killed.
    leftover: str = ""  # A file with which the agent starts no more where it failed, so it moves.

    @property
    def failure(self) -> str:
        return self.fails or f"pkill -9 -o -x {self.processes}"


AGENTS: Final[dict[str, Tried]] = {
    "Dummy": Tried(
        answers="test -e /run/resource-agents/Dummy-shop.state",
        fails="rm /run/resource-agents/Dummy-shop.state",
    ),
    # Starts it by "su - shop".
    "anything": Tried(
        parameters={
            "binfile": "/usr/bin/python3",
            "cmdline_options": f"-m http.server 8001 --directory {DATA}/anything",
            "user": "shop",
            "pidfile": "/run/shop/anything.pid",
        },
        settings="useradd -m -s /bin/sh shop",
        data=f"mkdir {DATA}/anything && echo precious >{DATA}/anything/page",
        answers="wget -qO- http://127.0.0.1:8001/page | grep -qx precious",
        fails="pkill -9 -u shop",
    ),
    "apache": Tried(
        parameters={
            "configfile": "/etc/apache2/apache2.conf",
            "httpd": "/usr/sbin/apache2",
            "statusurl": "http://127.0.0.1/server-status",
        },
        settings=(
            f"printf 'Alias /page {DATA}/apache/page\\n<Directory {DATA}/apache>\\n"
            "Require all granted\\n</Directory>\\n' >/etc/apache2/conf-available/shop.conf &&"
            " a2enconf -q shop && a2enmod -q status"
        ),
        data=f"mkdir {DATA}/apache && echo precious >{DATA}/apache/page",
        answers="wget -qO- http://127.0.0.1/page | grep -qx precious",
        processes="apache2",
    ),
    # Becomes mysql by runuser.
    "mysql": Tried(
        parameters={
            "datadir": f"{DATA}/mysql",
            "config": f"{DATA}/mysql.cnf",
            "pid": "/run/mysqld/shop.pid",
        },
        data=(
            f"printf '[mysqld]\\ninnodb_log_file_size = 8M\\n' >{DATA}/mysql.cnf &&"
            f" mysql_install_db --datadir={DATA}/mysql --user=mysql >/dev/null"
        ),
        answers="mysql --batch -e 'SELECT 41 + 1' | grep -qx 42",
        processes="mariadbd",
        # The first of the two would start the second again.
        fails="pkill -9 -x mysqld_safe; pkill -9 -x mariadbd",
    ),
    "named": Tried(
        parameters={
            "named_user": "bind",
            "named_config": f"{DATA}/named/named.conf",
            "monitor_request": "www.shop.example",
            "monitor_response": ADDRESS,
        },
        data=(
            f"mkdir {DATA}/named && printf '"
            'options { directory "/var/cache/bind"; recursion no; };\\n'
            f'zone "shop.example" {{ type master; file "{DATA}/named/zone"; }};\\n'
            f"' >{DATA}/named/named.conf && printf '"
            "$TTL 60\\n@ SOA ns root 1 60 60 60 60\\n"
            f"@ NS ns\\nns A {ADDRESS}\\nwww A {ADDRESS}\\n' >{DATA}/named/zone"
        ),
        answers=f"host -t A www.shop.example 127.0.0.1 | grep -q 'has address {ADDRESS}'",
        processes="named",
    ),
    "nginx": Tried(
        parameters={"httpd": "/usr/sbin/nginx", "configfile": f"{DATA}/nginx.conf"},
        data=(
            # Debian's nginx has it keep the agent's pipe where nothing is said of its errors.
            "printf 'pid /run/nginx-shop.pid;\\nerror_log /var/log/nginx/error.log;\\n"
            "events {}\\nhttp {\\nserver {\\nlisten 8002;\\n"
            f"root {DATA}/nginx;\\n}}\\n}}\\n' >{DATA}/nginx.conf &&"
            f" mkdir {DATA}/nginx && echo precious >{DATA}/nginx/page"
        ),
        answers="wget -qO- http://127.0.0.1:8002/page | grep -qx precious",
        processes="nginx",  # Its workers go on without it, and keep the port.
    ),
    # Becomes postgres by runuser.
    "pgsql": Tried(
        parameters={
            "pgctl": "/usr/lib/postgresql/15/bin/pg_ctl",
            "pgdata": f"{DATA}/pgsql",
        },
        data=(
            f"install -d -o postgres {DATA}/pgsql && cd / && runuser -u postgres --"
            f" /usr/lib/postgresql/15/bin/initdb -D {DATA}/pgsql >/dev/null &&"
            f' echo "max_wal_size = 64MB" >>{DATA}/pgsql/postgresql.conf'
        ),
        answers="cd / && runuser -u postgres -- psql -qAtc 'SELECT 41 + 1' | grep -qx 42",
        processes="postgres",
    ),
    # Asks by "su - postfix" what it may write to.
    "postfix": Tried(
        settings=f"postconf -e queue_directory={DATA}/postfix inet_protocols=ipv4",
        data=f"mkdir {DATA}/postfix && postfix check",
        answers=(
            "timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/25; head -n 1 <&3' | grep -q '^220 '"
        ),
        processes="master",
    ),
    # Starts it by su.
    "redis": Tried(
        parameters={"config": f"{DATA}/redis/redis.conf", "rundir": "/run/redis-shop"},
        data=(
            f"install -d -o redis {DATA}/redis &&"
            f" printf 'dir {DATA}/redis\\nappendonly yes\\n' >{DATA}/redis/redis.conf"
        ),
        answers="redis-cli PING | grep -qx PONG",
        processes="redis-server",
    ),
    "rsyncd": Tried(
        parameters={"binpath": "/usr/bin/rsync", "conffile": f"{DATA}/rsyncd.conf"},
        data=(
            f"printf 'pid file = /run/rsyncd-shop.pid\\n[shop]\\npath = {DATA}/rsync\\n'"
            f" >{DATA}/rsyncd.conf && mkdir {DATA}/rsync && touch {DATA}/rsync/precious"
        ),
        answers="rsync rsync://127.0.0.1/shop/ | grep -q ' precious$'",
        processes="rsync",
        leftover="/run/rsyncd-shop.pid",
    ),
}
