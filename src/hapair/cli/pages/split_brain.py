"""The two sides of a split brain as lines. Pure: the daemon's answer in, lines out."""

from collections.abc import Iterator

from hapair.cli.screen.reading import Reader
from hapair.cli.screen.terminal import Paint, Style, columns, filled, size_text, span_text, stamp


def situation_lines(answer: Reader, paint: Paint) -> Iterator[str]:
    """Yield both sides: since when apart, how much each wrote, who runs it, which files."""
    name = answer.text("application")
    yield paint(Style.STRONG, f"SPLIT BRAIN of {name}")
    for volume in answer.inners("volumes"):
        yield from filled(f"{volume.text('resource')}: {volume.text('because')}", "  ", "    ")
    for side in answer.inners("sides"):
        yield from _side(side, paint)
    for files in answer.inners("files"):
        yield from _files(files)
    if answer.text("victim"):
        text = f"{answer.text('victim')} gives up what only it wrote: {answer.text('because')}"
    else:
        text = answer.text("because")
    yield from filled(text, f"{paint(Style.STRONG, 'PROPOSAL')}  ")


def _side(side: Reader, paint: Paint) -> Iterator[str]:
    right = ", holds the right to act alone" if side.flag("holds_right") else ""
    runs = "runs it" if side.flag("uses") else "does not run it"
    heading = f"{side.text('node')}: {runs} ({side.text('phase')}), {side.text('standing')}{right}"
    yield paint(Style.STRONG, heading)
    rows = [
        (
            f"  {volume.text('resource')}",
            f"{volume.text('role')} {volume.text('disk')} {volume.text('connection')}".strip()
            or "not up",
            f"{_apart(side, volume)}, {_written(volume)}{_kept(volume)}",
        )
        for volume in side.inners("volumes")
    ]
    yield from columns(rows)


def _apart(side: Reader, volume: Reader) -> str:
    since_wall_s, now_wall_s = volume.number("apart_since_wall_s"), side.number("wall_s")
    if since_wall_s is None or now_wall_s is None:
        return "apart since an unknown time"
    ago = span_text(max(now_wall_s - since_wall_s, 0.0))
    return f"apart for {ago} (since {stamp(since_wall_s)})"


def _written(volume: Reader) -> str:
    written = volume.number("written_bytes")
    return "written: unknown" if written is None else f"wrote {size_text(written)} alone"


def _kept(volume: Reader) -> str:
    kept = volume.texts("kept")
    return f"; kept: {', '.join(kept)}" if kept else ""


def _files(files: Reader) -> Iterator[str]:
    where = f"{files.text('resource')} on {files.text('node')}"
    if why := files.text("why"):
        yield from filled(f"files of {where}: not compared: {why}", "", "  ")
        return
    changed = files.inners("changed")
    if not changed:
        yield from filled(f"files of {where}: none changed since they are apart", "", "  ")
        return
    yield f"files of {where}, changed since they are apart, newest first:"
    for file in changed:
        size = size_text(file.number("size_bytes") or 0)
        yield f"  {stamp(file.number('changed_wall_s') or 0.0)}  {size:>8}  {file.text('path')}"


def kept_lines(victim: str, snapshots: tuple[str, ...]) -> Iterator[str]:
    """Yield how to look into what was given up, and how to remove it later."""
    for snapshot in snapshots:
        yield f"what {victim} had written is kept on {victim} in {snapshot}"
        yield f"  look into it:  {victim}# mount -o ro,noload /dev/{snapshot} /mnt"
        yield f"                 (XFS: mount -o ro,norecovery,nouuid /dev/{snapshot} /mnt)"
        yield f"  remove it:     {victim}# umount /mnt; lvremove {snapshot}"
