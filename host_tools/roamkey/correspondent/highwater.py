"""Whether the registry is an older one than was served before; what is told of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mip6 import addresses
from roamkey.correspondent.store import Store
from roamkey.errors import RoamkeyError
from roamkey.registry import Registry
from roamkey.registry.marks import Marks

_NAMED = 3


class HighWater:
    """The high-water marks of a daemon, from one opening of the registry to the next."""

    def __init__(
        self, folder: Path | None, correspondent: bytes, tell: Callable[[str], None]
    ) -> None:
        """`folder`: where marks are kept, None: nowhere; `tell` is called with a line for what
        the user has to know. Nothing is opened yet."""
        self._folder = folder
        self._correspondent = correspondent
        self._tell = tell
        self._marks: Marks | None = None
        self._behind: set[bytes] = set()

    def attach(self, store: Store, registry: Registry) -> None:
        """Have a store compare with the marks of its registry, before anything is read from it.

        Nodes are served without marks where none are to be had. Raises RoamkeyError where the
        registry fails.
        """
        if self._folder is None:
            return
        identity = registry.identity()
        if self._marks is None or self._marks.identity != identity:
            self.close()
            try:
                self._marks = Marks(self._folder, identity, self._correspondent)
            except RoamkeyError as error:
                self._tell(f"no high-water marks are kept: {error}")
        store.marks = self._marks

    def look(self, store: Store) -> None:
        """Tell of nodes that the registry has forgotten something of, once of each state."""
        if store.behind == self._behind:
            return
        behind = self._behind = set(store.behind)
        if behind:
            some = ", ".join(addresses.text(home) for home in sorted(behind)[:_NAMED])
            self._tell(
                f"the registry is older than what was accepted before: {len(behind)} node(s), "
                f"{some} among them, aren't served until 'roamkey registry restore' was run"
            )

    def facts(self) -> dict[str, Any]:
        """What there is to tell."""
        return {
            "behind": len(self._behind),
            "marks": str(self._marks.path) if self._marks else None,
            "marks_error": self._marks.error if self._marks else None,
        }

    def close(self) -> None:
        """Bring the marks onto the disk."""
        if self._marks is not None:
            self._marks.close()
            self._marks = None
