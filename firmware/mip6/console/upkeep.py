"""What a technician does to a board besides keys: Wi-Fi networks, clock, log, seal, application,
the check of the path to a correspondent, and what is installed.

The console's methods of these names. Whatever depends on the platform comes in with `platform`
(maintenance/facts.py: `random`, `clock`, `set_clock`) and `networks` (maintenance/networklist.py):
this file does no I/O of its own.
"""

import binascii

from ..compat import const
from ..errors import Misuse, StorageError
from . import jsonrpc
from .jsonrpc import INVALID_PARAMS, REFUSED, SEALED, STORAGE_FAILED, WAIT, Refusal
from .lock import TooSoon

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from typing import Any

    from ..pathcheck import PathCheck
    from ..protocols import Joining, Log, Networks, Platform, Store
    from .lock import Seal

_EARLIEST = const(1577836800)  # 2020-01-01: no clock that was ever set is before it


class Upkeep:
    """`store`: where networks are kept; `seal`: lock.Seal; `log`: eventlog.EventLog.

    `networks`: the module of that name, or None on a platform without; `node.networks_changed()`
    is called after a change, `node.seal_changed()` after one of the seal's; `node.application` is
    the application.Application.
    """

    def __init__(
        self,
        store: "Store",
        seal: "Seal",
        log: "Log",
        platform: "Platform",
        networks: "Networks | None",
        node: "Joining",
    ) -> None:
        self._store = store
        self._seal = seal
        self._log = log
        self._platform = platform
        self._networks = networks
        self._node = node
        self._check: "PathCheck | None" = None
        self.methods = {
            "networks": self._change_networks,
            "log": self._tell_log,
            "time": self._time,
            "seal": self._close,
            "unseal": self._open,
            "app": self._application,
            "path": self._check_path,
            "files": self._tell_files,
        }

    @property
    def sealed(self) -> bool:
        """Whether the board is sealed."""
        return self._seal.closed

    @property
    def seal_id(self) -> str | None:
        """The id of the seal in hexadecimal, None on a board that isn't sealed."""
        return self._seal.id.hex() if self._seal.closed else None

    @property
    def idle(self) -> bool:
        """Whether nobody is opening the seal (no challenge is out, no time to wait for runs) or
        checking the path."""
        return self._seal.idle and (self._check is None or not self._check.running)

    def forget(self) -> str | None:
        """Remove what else shouldn't stay: passwords of networks, and the log of where the board
        was. What failed, in a line, or None."""
        problem = None
        try:
            self._log.clear()
        except OSError as error:
            problem = "log not erased: %s" % error
        if self._networks is not None:
            try:
                self._store.remove(self._networks.RECORD)
                self._node.networks_changed()
            except OSError as error:
                problem = "networks not erased: %s" % error
        return problem

    def _change_networks(self, params: object) -> "dict[str, Any]":
        entry, name = jsonrpc.some_params(params, "set", "remove")
        if self._networks is None:
            raise Refusal(REFUSED, "Wi-Fi is not this agent's business here")
        changes = entry is not None or name is not None
        problem = failure = None
        try:
            if changes:
                self._networks.change(self._store, entry, name)
            known = self._networks.read(self._store)
        except ValueError as error:  # raised again out here: a traceback may hold a password
            problem = str(error)
        except OSError as error:
            failure = "networks not stored: %s" % error
        if problem:
            raise Refusal(INVALID_PARAMS, problem)
        if changes:  # also where the write failed: what is in flash counts, and may be the new
            self._node.networks_changed()
        if failure:
            raise Refusal(STORAGE_FAILED, failure)
        return {
            "networks": [
                {"ssid": one.ssid, "priority": one.priority, "open": one.password is None}
                for one in known
            ]
        }

    def _tell_log(self, params: object) -> "dict[str, Any]":
        return self._log.tell(jsonrpc.some_params(params, "block")[0])

    def _time(self, params: object) -> "dict[str, Any]":
        wanted = jsonrpc.some_params(params, "set")[0]
        if wanted is not None:
            if type(wanted) is not int or not _EARLIEST <= wanted < 1 << 32:
                raise Refusal(INVALID_PARAMS, "set is in seconds since 1970, from 2020 on")
            try:
                self._platform.set_clock(wanted)
            except OSError:
                raise Refusal(REFUSED, "the system of this board keeps its own clock") from None
            self._log.add("clock", wanted)
        seconds = self._platform.clock()
        return {"unix_s": seconds if seconds >= _EARLIEST else None}

    def _close(self, params: object) -> "dict[str, Any]":
        seal_id, key = jsonrpc.some_params(params, "seal_id", "key")
        problem = self._platform.opening()
        if problem:
            raise Refusal(REFUSED, problem)
        try:
            self._seal.close(_unhex(seal_id), _unhex(key))
        except Misuse as error:
            raise Refusal(REFUSED, str(error)) from None
        except StorageError as error:
            raise Refusal(STORAGE_FAILED, str(error)) from None
        finally:
            self._node.seal_changed()
        return {"seal_id": self.seal_id}

    def _open(self, params: object) -> "dict[str, Any]":
        answer = jsonrpc.some_params(params, "response")[0]
        if not self._seal.closed:
            raise Refusal(REFUSED, "the board is not sealed")
        if answer is None:
            return {
                "seal_id": self.seal_id,
                "challenge": self._seal.challenge().hex(),
                "wait_s": self._seal.wait,
            }
        try:
            self._seal.open(_unhex(answer))
        except TooSoon as error:
            raise Refusal(WAIT, str(error)) from None
        except Misuse as error:
            self._log.add("unseal", str(error))
            raise Refusal(SEALED, str(error)) from None
        except StorageError as error:
            raise Refusal(STORAGE_FAILED, str(error)) from None
        self._node.seal_changed()
        return {}

    def _application(self, params: object) -> "dict[str, Any]":
        """A load point."""
        wanted, printed, at = jsonrpc.some_params(params, "set", "printed", "program")
        application = self._node.application
        try:
            if wanted == "start":
                application.start()
            elif wanted == "stop":
                application.stop()
            elif wanted is not None:
                raise Refusal(INVALID_PARAMS, "set is start or stop")
        except OSError as error:
            raise Refusal(STORAGE_FAILED, "not kept: %s" % error) from None
        told = {"application": application.status, "traceback": application.part.traceback}
        if printed is None and at is None:
            return told
        for number in (printed or 0, at or 0):
            if type(number) is not int or number < 0:
                raise Refusal(INVALID_PARAMS, "printed and program are numbers of octets")
        from .. import applog

        if printed is not None:
            told.update(applog.answer(application.printed, printed))
        if at is not None:
            try:
                told.update(applog.program(at))
            except OSError as error:
                raise Refusal(REFUSED, "/app.py can't be read: %s" % error) from None
        return told

    def _tell_files(self, params: object) -> "dict[str, Any]":
        """A load point."""
        skip = jsonrpc.some_params(params, "skip")[0]
        if skip is not None and (type(skip) is not int or skip < 0):
            raise Refusal(INVALID_PARAMS, "skip is a number of files")
        from ..maintenance.sums import tell

        try:
            return tell(skip or 0)
        except (OSError, ValueError) as error:
            raise Refusal(REFUSED, "a file can't be read: %s" % error) from None

    def _check_path(self, params: object) -> "dict[str, Any]":
        """A load point."""
        if self._check is None:
            from ..pathcheck import PathCheck

            self._check = PathCheck(self._node.node)
        return self._check.method(params)


def _unhex(value: object) -> bytes:
    octets = None
    if isinstance(value, str):
        try:
            octets = binascii.unhexlify(value)
        except ValueError:
            pass
    if octets is None:
        raise Refusal(INVALID_PARAMS, "not hexadecimal")
    return octets
