"""The user's programs in a board's flash.

/app.py        the program that the agent runs
/app.mpy       the same as bytecode, where there is no /app.py
/app.py.new    what /app.py is to be: not whole yet
/app.try       a program for the next start alone: mip6.application
/app_try.py    that one, once it began
"""

from hashlib import sha256

from roamkey.board.slots import POINTER, SLOTS, Flash
from roamkey.errors import BoardError

_APP = "/app.py"
_NEW_APP = "/app.py.new"
_TRIAL = "/app.try"  # mip6.application
_TRIALS = (_TRIAL, "/app_try.py")
_APPS = (_APP, "/app.mpy", *_TRIALS, _NEW_APP)
_APP_BLOCKS_SPARE = 2  # for the folder's rewrite


class Apps(Flash):
    """The flash of the board whose REPL this is, as far as programs go."""

    def has_agent(self) -> bool:
        """Whether an agent is in flash, in a slot or in /lib."""
        found = self._repl.ask(f"print(json.dumps([_text('{POINTER}'), _is('/lib/mip6')]))")
        return isinstance(found, list) and (found[0] in SLOTS or bool(found[-1]))

    def write_app(self, content: bytes) -> None:
        """Put /app.py in place, in one step; checked by the board's own SHA-256."""
        self._write_program(content, _APP)

    def write_trial(self, content: bytes) -> None:
        """Put a program where the next start takes it from, that one alone."""
        self._write_program(content, _TRIAL)

    def _write_program(self, content: bytes, path: str) -> None:
        port = self._repl.port
        self._repl.run(f"for p in {(*_TRIALS, _NEW_APP)!r}: _rm(p)")
        block, free = self._repl.ask("s = os.statvfs('/')\nprint(json.dumps([s[0], s[0] * s[3]]))")
        if (-(-len(content) // block) + _APP_BLOCKS_SPARE) * block > free:
            raise BoardError(
                f"{port}: the board's flash is too full for {len(content)} octets: "
                f"{free // 1024} KB free; what was there stays"
            )
        for _ in self.write({_NEW_APP: content}):
            pass
        sums = self._repl.ask(f"print(json.dumps(_sum('{_NEW_APP}')))")
        if sums != sha256(content).hexdigest():
            raise BoardError(f"{port}: the board's flash doesn't keep what is written")
        self._repl.run(f"os.rename('{_NEW_APP}', '{path}')")

    def remove_app(self) -> bool:
        """Remove the program, and one that was tried; whether there was one."""
        program = f"print(json.dumps([_is(p) for p in {_APPS!r}]))\nfor p in {_APPS!r}: _rm(p)"
        there = self._repl.run(program).strip()
        left = self._repl.ask(f"print(json.dumps([_is(p) for p in {_APPS!r}]))")
        if left != [False] * len(_APPS):
            raise BoardError(f"{self._repl.port}: the board's flash keeps its program")
        return "true" in there
