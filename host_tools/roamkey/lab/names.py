"""Names in the laboratory: whatever runs in the sandbox asks the laboratory's resolver.

The system's own resolver is told by /etc/resolv.conf, and which sources of names there are by
/etc/nsswitch.conf: in the sandbox, whose mounts nobody else sees, they are ours.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from roamkey.errors import SystemRefusedError
from roamkey.lab import syscalls

_RESOLVERS = Path("/etc/resolv.conf")
_SOURCES = Path("/etc/nsswitch.conf")
# A silent resolver holds its asker up for so long: the least that glibc knows, and no second try.
_PATIENCE_S = 1


@contextmanager
def asking(resolvers: Sequence[str]) -> Iterator[None]:
    """Meanwhile names are asked of `resolvers` (addresses, in order); SystemRefusedError."""
    lines = [f"nameserver {one}" for one in resolvers]
    lines.append(f"options timeout:{_PATIENCE_S} attempts:1")
    if not _RESOLVERS.exists():
        raise SystemRefusedError(f"{_RESOLVERS}: not there, so no resolver can be named")
    with ExitStack() as stack:
        _put(stack, _RESOLVERS, "\n".join(lines) + "\n")
        if _SOURCES.exists():
            _put(stack, _SOURCES, "hosts: files dns\n")
        yield


def _put(stack: ExitStack, place: Path, text: str) -> None:
    """Have `text` stand at `place`: in memory, so that nothing is left behind."""
    folder = Path(tempfile.mkdtemp(prefix="roamkey-lab-"))
    try:
        syscalls.mount("tmpfs", str(folder), "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV)
        try:
            file = folder / place.name
            file.write_text(text)
            file.chmod(0o644)
            syscalls.mount(str(file), str(place.resolve()), "", syscalls.MS_BIND)
            stack.callback(syscalls.unmount, str(place.resolve()))
        finally:
            syscalls.unmount(str(folder))  # what is bound keeps it
    except OSError as error:
        raise SystemRefusedError(f"{place}: {error.strerror}") from error
    finally:
        folder.rmdir()
