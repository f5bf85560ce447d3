"""Every option of every command with absurd values: one line, a documented exit code, in time."""

import base64
import io
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import samples
import typer
from command import run
from support.commands import commands
from support.images import names, uf2

from roamkey.cli import app
from roamkey.correspondent.events.file import Writer
from roamkey.correspondent.page import serve
from roamkey.enroll import keyfile, transferfile
from roamkey.errors import RefusedError
from roamkey.field import boardlog, charts
from roamkey.registry import Registry, Site

PATIENCE_S = 20.0  # most take milliseconds; the limit has to hold on a busy machine
MEMORY = 800 << 20  # octets of address space besides what a test process has
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
CODES = range(6)

ABSURD = {
    "nothing": "",
    "blank": " ",
    "negative": "-1",
    "huge": "9" * 400,
    "beyond 64 bits": str(1 << 64),
    "huge time": "9" * 400 + "d",
    "long ago": "999999999999999999999d",
    "not a number": "nan",
    "infinite": "inf",
    "tiny": "1e-320",
    "other digits": "٣" * 3,
    "NUL": "a\0b",
    "lines": "a\nb\r\nc",
    "terminal": "\x1b[2J\x07",
    "not UTF-8": "\udcff\udcfe",
    "long": "x" * 100_000,
    "long path": "/" + "p/" * 2_500,
    "long name": "/tmp/" + "n" * 5_000,
    "dots": "../" * 300 + "proc",
    "folder": "/proc",  # where not even root can write
    "full disk": "/dev/full",
    "endless": "/dev/zero",
    "unwritable": "/proc/nothing/there",
    "read-only": "/proc/version",
    "scoped": "fe80::1%lo",
    "mapped": "::ffff:1.2.3.4",
    "prefix": "::/0",
    "URL": "postgresql://u:p@[::1/x",
    "URL of nobody": "http://u:p@h/x?a=b",
    "port": "[::1]:99999999999999999999",
    "option": "--",
    "markup": "[bold]x[/nothing]",
}  # fmt: skip

#: What a command needs besides the value that is tried, and is given where it may leave it out.
NEEDED = {
    "--address": "2001:db8::1",
    "--correspondent": "2001:db8::1",
    "--home-address": "2001:db8::2",
    "--file-passphrase": "passphrase",
    "--new-file": "passphrase",
    "--uf2": "firmware.uf2",
    "--port": "/nowhere",
    "--board": "abcd",
    "--reach": "cn.example",
    "--home-prefix": "2001:db8:a::/64",
    "--passphrase-file": "passphrase",
    "--keys": "keys.json",
    "--events": "roamkey/registry.events.sqlite",
    "--firmware": "firmware.uf2",
    "--kcn-file": "kcn",
    "--password-file": "passphrase",
    "--wait": "0",
    "--state": "node",
    "FILE": "export",
    "FIRMWARE": "firmware.uf2",
    "NAME": "name",
    "FOLDER": "walk",
    "IMAGE": "image",
    "FLEET.CSV": "fleet.csv",
    "FILE.toml": "campus",
}
ALONE = {  # one of each is enough, or doesn't go with the other
    "--board": {"--port"}, "--air": {"--port"}, "--volume": {"--port"},
    "--home-address": {"--home-prefix"}, "--prefix": {"--home-prefix"}, "--registry": {"--keys"},
}  # fmt: skip
OPTIONAL = (
    "--port",
    "--address",
    "--reach",
    "--correspondent",
    "--home-prefix",
    "--keys",
    "--events",
    "--firmware",
    "--wait",
    "--state",
)
#: Where nothing may be left, however a value reads; root could.
ABROAD = ("/", "/etc", "/srv", "/var/lib", "/var/log")


class Silence:
    """A stdin that ends at once, however often it is closed."""

    def isatty(self) -> bool:
        return False

    def readline(self, *_: Any) -> str:
        return ""

    @property
    def buffer(self) -> io.BytesIO:
        return io.BytesIO()


def places() -> Iterator[Any]:
    """Each option and argument of each command that takes a value."""
    for path, command in commands(typer.main.get_command(app)):
        for place in command.params:
            if not getattr(place, "is_flag", False) and "--help" not in place.opts:
                yield pytest.param(path, command, place, id=" ".join((*path, place.opts[0])))


def is_option(place: Any) -> bool:
    return bool(place.opts[0].startswith("-"))


def words(path: tuple[str, ...], command: Any, tried: Any, value: str) -> list[str]:
    """The command's words: the value in its place, and what else has to be said."""
    named, bare = [], []
    for place in command.params:
        name = place.opts[0] if is_option(place) else place.metavar or place.name.upper()
        given = value if place is tried else NEEDED.get(name, "nowhere")
        needless = not place.required and name not in OPTIONAL
        others = ALONE.get(tried.opts[0], set())
        if place is not tried and (needless or name in others):
            continue
        if not is_option(place) and path == ("export",) and place is not tried:
            given = "new"
        if is_option(place):
            named.append(f"{name}={given}")
        else:
            bare.append(given)
    return [*named, *(["--"] if bare and value != "--" else []), *bare]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what commands work on."""
    folder = tmp_path_factory.mktemp("there")
    for name in ("passphrase", "kcn", "keys.json"):
        (folder / name).touch(0o600)
    (folder / "passphrase").write_text("of some length")
    (folder / "kcn").write_text("ab" * 20)
    pair = {"home_address": "2001:db8::2", "correspondent": "2001:db8::1"}
    nonces = {"home_nonce": "00" * 8, "care_of_nonce": "11" * 8}
    keys = [{"generation": 0, "kcn": "cd" * 20}]
    (folder / "keys.json").write_text(json.dumps({**pair, **nonces, "keys": keys}))
    (folder / "fleet.csv").write_text("name,port\na,/nowhere\n")
    uf2(folder / "firmware.uf2", names("Raspberry Pi Pico W", "1.28.0"))
    with Registry.open(folder / "registry.sqlite") as registry:
        (known,) = keyfile.read_pairs(folder / "keys.json")
        registry.add_sent(b"set-0001", "abcd", [known], 600)
        inside = known.correspondent[:8] + bytes(8)
        registry.set_site(Site(known.correspondent, inside, 64, ("cn.example:4191",)), None)
        passphrase = b"of some length"
        transferfile.export_to(registry, known.correspondent, folder / "export", passphrase)
    writer = Writer(folder / "registry.events.sqlite", known.correspondent)
    writer.add(
        [(1000, "bound", known.home_address, bytes(16), None, 1, 0, 600, 1, *[None] * 4)], []
    )
    writer.close()
    walk = folder / "walk"
    walk.mkdir()
    log = boardlog.pull(samples.answers(samples.BOOT_1), "aa", samples.HOME)
    boardlog.write(walk / "aa.jsonl", log)
    (walk / "events.json").write_text(json.dumps(samples.events()))
    return folder


@pytest.fixture(autouse=True)
def _nothing_abroad() -> Iterator[None]:
    before = [set(os.listdir(folder)) for folder in ABROAD]
    yield
    assert [set(os.listdir(folder)) for folder in ABROAD] == before


@pytest.fixture(autouse=True)
def nowhere(there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home of its own; what would go on for ever ends at its start."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ROAMKEY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("ROAMKEY_PORTS", "")
    monkeypatch.setattr(sys, "stdin", Silence())

    def ends(*_: Any, **__: Any) -> None:
        raise RefusedError("it would run now")

    monkeypatch.setattr(serve, "serve", ends)
    monkeypatch.setattr(charts, "png", lambda *_, **__: PNG)
    monkeypatch.setattr(charts, "svg", lambda *_: "<svg></svg>")
    for name in ("cli.lab_demo.run", "cli.lab_walk.Walk", "cli.lab_board.VirtualBoard",
                 "cli.lab_pico_w.EmulatedPicoW", "cli.lab_esp32.EmulatedEsp32",
                 "lab.sandbox.ensure", "correspondent.serving.serve",
                 "node.service._operate"):  # fmt: skip
        monkeypatch.setattr(f"roamkey.{name}", ends)
    monkeypatch.setattr("roamkey.correspondent.privileges.leave_root", lambda *_: None)
    for name in there.iterdir():
        copy = shutil.copytree if name.is_dir() else shutil.copy2
        copy(name, tmp_path / name.name)
    (tmp_path / "roamkey").mkdir()
    for name in tmp_path.glob("registry.*"):
        name.rename(tmp_path / "roamkey" / name.name)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize(("path", "command", "place"), list(places()))
def test_absurd_values(
    path: tuple[str, ...], command: Any, place: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    for what, value in ABSURD.items():
        begun = time.monotonic()
        code, out, err = run(monkeypatch, capfd, *path, *words(path, command, place, value))
        took = time.monotonic() - begun
        told = f"{what}: {code} in {took:.1f} s\n{err[-2000:]}{out[-200:]}"
        assert code in CODES, told
        assert took < PATIENCE_S, told
        lines = [line for line in err.splitlines() if line != "a: missing"]
        assert len(lines) == (code != 0), told
        assert all(line.startswith("roamkey: ") and line.isprintable() for line in lines), told
        assert "out of memory" not in err, told
        assert all(len(line) < 700 for line in lines), told
        assert list(Path().glob("**/.roamkey-*")) == [], told
