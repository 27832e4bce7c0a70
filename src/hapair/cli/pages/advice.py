"""What an administrator does about each alarm. The names are those of the core's tables."""

from typing import Final

RUNBOOKS: Final = "/usr/share/doc/hapair/runbooks"
CONFIRM: Final = "only if {peer} is surely off: clconfirm peer-is-down"
ADVICE: Final = {
    "kernel-answers": "on {peer}: systemctl status hapaird; its applications go on meanwhile",
    "peer-alive": "look at the networks and firewalls of both nodes: one direction is cut",
    "not-stored": "make room (df -h /var, journalctl --vacuum-size=200M), or mend that disk"
    f" (dmesg); it goes on by itself: {RUNBOOKS}/28-cannot-store.md",
    "no-room": f"make room: df -h /var, df -i /var, journalctl --vacuum-size=200M; {RUNBOOKS}/"
    "28-cannot-store.md",
    "peer-cannot-store": "on {peer}: clstat, df -h /var, dmesg; do not reboot this node meanwhile",
    "not-understood": f"install the same version on both nodes: {RUNBOOKS}/25b-two-versions.md",
    "not-stated": f"install the same version on both nodes: {RUNBOOKS}/25b-two-versions.md",
    "versions": f"upgrade the older node: {RUNBOOKS}/25b-two-versions.md",
    "not-connected": "look at the firewalls; clbuild checks both nodes and lists what is wrong",
    "peer-ahead": f"start {{peer}}; {CONFIRM}",
    "never-joined": f"start {{peer}}; {CONFIRM}",
    "older-heartbeats": "set the clock of {peer}; it is heard as soon as a connection to it can be"
    " made: look at the firewalls",
    "one-network": f"bring {{peer}} back; {CONFIRM}",
    "own-link-down": f"mend this node's link; {CONFIRM}",
    "ask-operator": f"bring {{peer}} back; {CONFIRM}",
    "isolated": "mend this node's network; it joins by itself",
    "single-not-allowed": "start {peer}, or type: clform --alone",
    "peer-may-be-ahead": f"start {{peer}}; {CONFIRM}",
    "denied": "mend this node's networks; it joins by itself and is completed by the peer",
    "lease-over": "mend this node's networks; it goes on by itself when the witness answers",
    "outstayed": "it asks again by itself; find out why it stood still: clevents --since 1h",
    "kernel-untold": "see what drbdsetup waits for: ps, dmesg; it goes on by itself when the kernel"
    " tells something, or {peer} is heard",
    "new-terms": f"bring {{peer}} back: they agree by themselves; {CONFIRM}",
    "promised": f"bring {{peer}} back; {CONFIRM}",
    "witness-lost": "look at the witness: clbuild --check-witness tries it",
    "yields": "bring {peer} back; the witness then decides again",
    "fencing-failed": f"look at the fence device; it is tried again. {CONFIRM.capitalize()}",
    "no-method": f"configure a method against {{peer}}; {CONFIRM}",
    "fence": "nothing: it is tried until it succeeds; clevents shows each try",
    "frozen": "bring {peer} or its network back; clstat --why {application} tells more",
    "frozen-by-hand": "nothing here overrules it, nor stops what waits for these writes. When you"
    " are done: drbdadm resume-io RESOURCE",
    "lost": "mend this node's networks; the peer, or nobody, goes on",
    "superseded": "mend this node's networks; the peer goes on",
    "no-redundancy": "bring {peer} back; it joins by itself (after clhalt: clform)",
    "builds": "wait for it; Ctrl-C where it was typed takes everything back",
    "takes-back": "wait for it; then type the command again if you still want it",
    "not-taken-back": "mend what is named; it is tried again by itself, and at once when the"
    " command is typed again",
    "job-unreadable": "clbuildapp --abandon --plan shows what it left behind; clbuildapp --abandon"
    " takes a build back, or ends a release, and sets the note aside",
    "configuration-differs": "clbuild gives both nodes the newer configuration",
    "unprotected": "look at the replication network; the copies are completed by themselves",
    "failed-everywhere": "clevents --application {application} tells the cause; once it is mended,"
    " this tries at once: clrunapp {application}",
    "failed-here": "clevents --application {application} tells the cause; once it is mended, this"
    " tries at once: clrunapp {application}",
    "gave-up": "lemsctl {application} history tells the cause, as does clevents --application"
    " {application}; once it is mended, this tries at once: clrunapp {application} --clear",
    "monitor-failed": "lemsctl {application} status; nothing that is restarted or moved helps here:"
    f" {RUNBOOKS}/20-disk-full-or-corrupt.md",
    "unwatched-for-long": "on the node that runs it: systemctl status hapair-lems.service; the"
    " application itself goes on",
    "held-back": "clmaintain status; once you are done: clmaintain off",
    "peer-tries": "wait for the other node; clevents --application {application} tells the cause",
    "stale-data": "bring {peer} back: its copy is newer than this one",
    "stuck": "clstat --why {application} names what holds it; end that, the stop is tried again",
    "not-seen": f"mend what keeps the look from its answer: {RUNBOOKS}/19-start-fails.md",
    "not-mounted": "it is mounted again by itself once the program has stopped, unless only its"
    f" data is wanted; what was written meanwhile: {RUNBOOKS}/22b-taken-away.md",
    "mount-trouble": f"nothing was stopped; see {RUNBOOKS}/22b-taken-away.md",
    "address-missing": "end what has the address, or mend the card; it is tried again by itself",
    "address-fought": f"find out what removes them: {RUNBOOKS}/22b-taken-away.md",
    "address-trouble": f"see {RUNBOOKS}/22b-taken-away.md",
    "written-behind": "if anything still mounts it, end that (umount, its line in /etc/fstab);"
    " {peer}'s copy then replaces it by itself. Only if {peer} has no current one:"
    " clconfirm copy-is-good {application}",
    "unproven-copy": "see what clstat says of {peer}'s copy; if {peer} is halted, type there:"
    " clform. Only if the copies cannot meet, and what {peer} may have written alone does not"
    " matter: clconfirm copy-is-good {application}",
    "copies-differ": "look for a cause (disk, memory); then, on the node that does not run"
    " {application}: drbdadm disconnect RESOURCE; drbdadm connect RESOURCE",
    "host-settings": "clbuild --plan says how to mend it",
    "two-owners": "keep both nodes as they are until the two copies were compared; nothing is"
    " discarded by itself",
}
# These cost redundancy but stop nothing, so they are shown as warnings.
MILD: Final = frozenset(
    {
        "builds",
        "configuration-differs",
        "copies-differ",
        "host-settings",
        "no-redundancy",
        "no-room",
        "takes-back",
        "unwatched-for-long",
        "unprotected",
        "witness-lost",
        "yields",
    }
)


def advice_for(alarm: str, application: str, peer: str) -> str:
    """Return what to do about an alarm; where there is no better advice, where to look."""
    advice = ADVICE.get(alarm)
    if advice is None:
        where = f"clevents tells how it came about; then {RUNBOOKS}/README.md"
        return f"clstat --why {application}" if application else where
    return advice.format(application=application, peer=peer or "the peer")
