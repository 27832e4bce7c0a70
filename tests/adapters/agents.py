"""The agents of the package resource-agents, unchanged, on a machine whose daemons are small fakes.

The package is fetched once, by apt as everything of the guests is, and kept in the cache.
"""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.model.environment import SEARCH_PATH
from hapair_lab.folders import cache_folder
from tests.adapters.namespaces import own_mounts

COMMANDS: Final = Path(__file__).parents[2] / "packaging" / "commands"
LOGIND: Final = Path("/run/systemd/seats")  # pam_systemd does nothing where it is not.
BUS: Final = Path("/run/dbus/system_bus_socket")
PACKAGE: Final = "resource-agents"
# Prints nothing, and ends when it is told to. Its name is that of the file it is copied to.
LASTING: Final = "sleep"
# Each is called as the real one is. ``lives NAME PIDFILE`` leaves a process of that name behind.
LIVES: Final = 'lives() { "$WORLD/bin/$1" 1000 >/dev/null 2>&1 & echo $! >"$2"; }\n'
ENDS: Final = 'ends() { kill "$(cat "$1")"; rm -f "$1"; }\n'
ALIVE: Final = 'alive() { kill -0 "$(cat "$1" 2>/dev/null)" 2>/dev/null; }\n'
FAKES: Final = {
    "bin/rsync": 'lives rsync "$WORLD/rsync.pid"',
    "sbin/nginx": 'case " $* " in *" -"[tvV]" "*) ;; *) lives nginx "$WORLD/nginx.pid" ;; esac',
    "sbin/dovecot": (
        'case "$*" in help) ;; stop) ends "$WORLD/dovecot.pid" ;;'
        ' *status) alive "$WORLD/dovecot.pid" ;; *) lives dovecot "$WORLD/dovecot.pid" ;; esac'
    ),
    "bin/doveconf": "exit 0",
    "bin/doveadm": "exit 0",
    "sbin/postfix": (
        'case "$*" in check) ;; status) alive "$WORLD/master.pid" ;;'
        ' stop) ends "$WORLD/master.pid" ;; *) lives master "$WORLD/master.pid" ;; esac'
    ),
    "sbin/postconf": (
        'case "$*" in *mail_version*) echo 3.7.11 ;; *mail_owner*) echo root ;;'
        ' *) echo "$WORLD" ;; esac'
    ),
    "bin/redis-server": 'lives redis-server "$WORLD/redis.pid"',
    "bin/redis-cli": (
        'case "$*" in -v) echo redis-cli 7.0.15 ;; *) printf "role:master\\nloading:0\\n" ;; esac'
    ),
    "bin/pg_ctl": (
        'case " $* " in *" start "*) lives postgres "$WORLD/postmaster.pid" ;;'
        ' *" stop "*) ends "$WORLD/postmaster.pid" ;; esac'
    ),
    "bin/psql": "exit 0",
    "bin/mysqld_safe": (
        "for word; do case $word in --pid-file=*) pid=${word#*=} ;; esac; done\n"
        'echo $$ >"$pid"; exec "$WORLD/bin/mysqld" 1000'
    ),
    "bin/mysql": "exit 0",
    # The machine of libvirt lives elsewhere: all that is here is what virsh says.
    "bin/virsh": (
        'case "$*" in *domstate*) cat "$WORLD/domain" 2>&- || echo "error: Domain not found" ;;'
        ' *create*) echo running >"$WORLD/domain" ;; *shutdown*|*destroy*) rm -f "$WORLD/domain" ;;'
        " esac"
    ),
}
COPIES: Final = ("rsync", "nginx", "dovecot", "master", "redis-server", "postgres", "mysqld")


def fetched() -> Path:
    """Return the package's files below a folder of the cache; fetch them where they are not."""
    target = cache_folder() / PACKAGE
    if not target.exists():
        making = target.with_name(f"{PACKAGE}.{os.getpid()}")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        for argv in (
            ("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", PACKAGE),
            ("sh", "-c", "dpkg-deb --extract *.deb ."),
        ):
            subprocess.run(argv, cwd=making, check=True, capture_output=True)
        with contextlib.suppress(OSError):  # Another one was quicker.
            making.rename(target)
        shutil.rmtree(making, ignore_errors=True)
    return target


@dataclass(frozen=True, slots=True)
class Machine:
    folder: Path
    own_commands: Path
    bus: socket.socket  # Of this system; whoever wants a session of logind connects to it.

    def asked_for_session(self) -> bool:
        try:
            self.bus.accept()[0].close()
        except BlockingIOError:
            return False
        return True


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


@contextlib.contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Within this block /usr has the agents and the fakes, and /run is new, for this process."""
    folder.chmod(0o755)
    made = folder / "usr"
    head = f"#!/bin/bash\nWORLD={folder}\n{LIVES}{ENDS}{ALIVE}"
    for path, text in FAKES.items():
        _write(made / path, f"{head}{text}\n")
    (folder / "bin").mkdir()
    lasting = shutil.which(LASTING, path=SEARCH_PATH)
    assert lasting
    for name in COPIES:
        shutil.copy(lasting, folder / "bin" / name)
    own_commands = folder / "commands"
    shutil.copytree(COMMANDS, own_commands)
    (own_commands / "runuser").symlink_to("su")
    layers = f"lowerdir={made}:{fetched()}/usr:/usr"
    with own_mounts():
        for argv in (
            ("mount", "-t", "overlay", "-o", layers, "overlay", "/usr"),
            ("mount", "-t", "tmpfs", "tmpfs", "/run"),
        ):
            subprocess.run(argv, check=True)
        for made in (LOGIND, BUS.parent):
            made.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as bus:
            bus.bind(str(BUS))
            bus.listen()
            bus.settimeout(0)
            yield Machine(folder, own_commands, bus)
