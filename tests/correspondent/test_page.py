"""The live page: who may see it, what it says, and that nothing is lost on the way."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from contextlib import closing, contextmanager
from ipaddress import IPv6Address

import pytest

from roamkey.correspondent.events.file import Writer
from roamkey.correspondent.page import feed as feed_module
from roamkey.correspondent.page.access import is_local, read_token
from roamkey.correspondent.page.app import make_app
from roamkey.correspondent.page.feed import Feed
from roamkey.correspondent.page.reading import PageReader
from roamkey.errors import BadInputError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its successor to httpx is too new to be everywhere
    from starlette.testclient import TestClient

CN = IPv6Address("2001:db8:c::2").packed
SECRET = "a-token-of-enough-octets"
NOTHING = {"daemons": [], "drops": []}


def home(number):
    return IPv6Address(f"2001:db8:a::{number:x}").packed


def add(writer, number, count=1, network=1):
    care_of = IPv6Address(f"2001:db8:{network}::{number:x}").packed
    now = time.time_ns() // 1_000_000
    rows = [
        (now, "moved", home(number), care_of, care_of, n, 0, 400, None, None, None, "native", None)
        for n in range(count)
    ]
    node = (
        home(number),
        "bound",
        care_of,
        count - 1,
        0,
        now,
        now + 400_000,
        count,
        count,
        "native",
        None,
    )
    writer.add(rows, [node])


@pytest.fixture
def events(tmp_path):
    path = tmp_path / "events.sqlite"
    with closing(Writer(path, CN)) as writer:
        add(writer, 1)
        yield path, writer


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


def client(path, token=None):
    app = make_app(PageReader(path), token, lambda: NOTHING)
    return TestClient(app, base_url="http://localhost:8080", follow_redirects=False)


def test_state_timeline_and_headers(events):
    path, writer = events
    add(writer, 2)
    with client(path) as browser:
        state = browser.get("/state").json()
        assert state["last"] == 2 and state["totals"]["updates"] == 2
        assert [node["network"] for node in state["nodes"]] == ["2001:db8:1::/64"] * 2
        assert state["nodes"][0]["uses_left"] == 65535
        assert len(browser.get("/state?find=A::2").json()["nodes"]) == 1
        assert browser.get("/state?find='%25").json()["nodes"] == []
        (event,) = browser.get("/timeline?node=2001:db8:a::1").json()
        assert event["kind"] == "moved"
        assert browser.get("/timeline?node=x").status_code == 400
        assert browser.get("/timeline?node=fe80::1%25eth0").json() == []
        assert browser.get("/events?after=-1").status_code == 400
        for name in ("/", "/page.js", "/page.css", "/icon.svg"):
            answer = browser.get(name)
            assert answer.status_code == 200
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy
            assert answer.headers["cache-control"] == "no-store"
            assert "http:" not in answer.text.replace("http://www.w3.org/2000/svg", "")
            assert "https:" not in answer.text and "style=" not in answer.text


def test_other_sites_names_are_not_answered(events):
    with client(events[0]) as browser:
        for host in ("evil.example", "evil.example:8080", "192.0.2.1", "", "[2001:db8::1]:8080"):
            assert browser.get("/state", headers={"host": host}).status_code == 421
    for host in ("localhost", "LOCALHOST:80", "[::1]:8080", "127.0.0.1", "127.1.2.3:1"):
        assert is_local(host)


def test_token(events, token):
    with client(events[0], read_token(token)) as browser:
        for path in ("/state", "/events?after=0", "/timeline?node=::", "/page.js"):
            assert browser.get(path).status_code == 401
        form = browser.get("/")
        assert (
            form.status_code == 200
            and 'id="nodes"' not in form.text
            and 'action="/enter"' in form.text
        )
        assert browser.get("/page.css").status_code == 200
        wrong = browser.post("/enter", data={"token": SECRET + "x"})
        assert wrong.status_code == 303 and "set-cookie" not in wrong.headers
        assert browser.post("/enter", data={"token": "x" * 5000}).status_code == 413
        for given in (f"Bearer {SECRET}x", "Bearer", "Bearer \xff", "Basic x"):
            assert (
                browser.get(
                    "/state", headers={b"authorization": given.encode("latin-1")}
                ).status_code
                == 401
            )
        for cookie in ("roamkey_page=x", "roamkey_page=\xff", "=;=", f"roamkey_page={SECRET}"):
            assert (
                browser.get("/state", headers={b"cookie": cookie.encode("latin-1")}).status_code
                == 401
            )
        assert browser.get("/state", headers={"authorization": f"Bearer {SECRET}"}).is_success
        right = browser.post("/enter", data={"token": SECRET})
        cookie = right.headers["set-cookie"]
        assert right.status_code == 303 and right.headers["location"] == "/"
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and SECRET not in cookie
        assert browser.get("/state", headers={"host": "anything"}).is_success
        assert 'id="nodes"' in browser.get("/").text
        assert "Secure" not in cookie
        for proxy in ({"x-forwarded-proto": "https"}, {"forwarded": "for=x;proto=https"}):
            right = browser.post("/enter", data={"token": SECRET}, headers=proxy)
            assert "Secure" in right.headers["set-cookie"]


def test_token_files(tmp_path, token):
    assert SECRET not in repr(read_token(token))
    token.chmod(0o640)
    with pytest.raises(BadInputError, match="0640"):
        read_token(token)
    token.chmod(0o600)
    token.write_text("short")
    with pytest.raises(BadInputError, match="shorter"):
        read_token(token)
    made = tmp_path / "made"
    read_token(made)
    assert made.stat().st_mode & 0o777 == 0o600 and len(made.read_text().strip()) == 32


def told(message):
    lines = dict(line.split(": ", 1) for line in message.decode().strip().split("\n"))
    return lines, json.loads(lines["data"])


def drain(queue):
    found = []
    while not queue.empty():
        message = queue.get_nowait()
        found.append(message if message is None else told(message))
    return found


def test_resume_misses_nothing_and_doubles_nothing(events):
    path, writer = events

    async def run():
        feed = Feed(PageReader(path), lambda: NOTHING)
        add(writer, 2, 250)
        async with feed.follow(1) as queue:
            (hello, resumed) = drain(queue)
            assert hello[0] == {"event": "hello", "retry": "1000", "data": "{}"}
            assert resumed[0]["id"] == "251" and resumed[1]["counts"] == {"moved": 250}
            assert len(resumed[1]["events"]) == 100  # the latest of them
            add(writer, 3)
            feed._look()
            feed._look()
            ((lines, what),) = drain(queue)
            assert lines["id"] == "252" and [e["id"] for e in what["events"]] == [252]
            assert what["nodes"][0]["home_address"] == "2001:db8:a::3"
            assert what["totals"]["updates"] == 252
        for stranger in (253, 10**9):  # another file, or before what is kept
            async with feed.follow(stranger) as queue:
                assert drain(queue)[1][0]["event"] == "reload"

    asyncio.run(run())


def test_slow_browsers_are_dropped_and_counted(events):
    path, writer = events

    async def run():
        feed = Feed(PageReader(path), lambda: NOTHING)
        async with feed.follow(1) as slow, feed.follow(1) as quick:
            for _ in range(feed_module._QUEUE_MAX + 5):
                add(writer, 1)
                feed._look()
                drain(quick)
            assert feed.too_slow == 1 and drain(slow) == [None]
            assert len(feed._browsers) == 1

    asyncio.run(run())


def test_a_node_that_comes_without_an_event_is_told(events):
    """It was provisioned, and hasn't moved yet."""
    path, writer = events

    async def run():
        feed = Feed(PageReader(path), lambda: NOTHING)
        async with feed.follow(1) as queue:
            await feed.watch()
            drain(queue)
            await feed.watch()
            assert drain(queue) == []  # nothing new
            writer.add([], [(home(9), "unbound", None, 1, 0, 1, 1, 1, 0, None, None)])
            await feed.watch()
            ((lines, what),) = drain(queue)
            assert lines["event"] == "watch" and what["totals"]["nodes"] == 2

    asyncio.run(run())


def test_a_flood_makes_messages_of_bounded_size(events):
    path, writer = events
    rows = [(1, "bound", home(n), home(n), *[None] * 9) for n in range(1, 4001)]
    nodes = [(home(n), "bound", home(n), 1, 0, 1, 1, 1, 0, "native", None) for n in range(1, 4001)]

    async def run():
        feed = Feed(PageReader(path), lambda: NOTHING)
        async with feed.follow(1) as queue:
            drain(queue)
            writer.add(rows, nodes)
            feed._look()
            message = queue.get_nowait()
            lines, what = told(message)
            assert what["counts"] == {"bound": 4000} and what["partly"] is True
            assert len(message) < 200_000 and lines["id"] == "4001"

    asyncio.run(run())


def test_the_more_there_is_to_tell_the_seldomer_it_is_told(events):
    """A browser is sent a bounded number of octets a second, whatever nodes do."""
    path, writer = events
    homes = [home(n) for n in range(1, 401)]
    rows = [(1, "bound", one, one, *[None] * 9) for one in homes]
    nodes = [(one, "bound", one, 1, 0, 1, 1, 1, 0, "native", None) for one in homes]

    async def run():
        feed = Feed(PageReader(path), lambda: NOTHING)
        running = asyncio.create_task(feed.run())
        octets, messages, seconds = 0, 0, 3.0
        async with feed.follow(1) as queue:
            drain(queue)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                writer.add(rows, nodes)
                await asyncio.sleep(0.02)
                while not queue.empty():
                    octets += len(queue.get_nowait())
                    messages += 1
        feed.end()
        await running
        assert messages > 2 and octets < (seconds + 1) * 1.2 * feed_module._OCTETS_PER_S

    asyncio.run(run())


def test_a_beat_tells_how_old_all_is(events):
    """Who hears none sees the past; a daemon that is silent ages, though the page is there."""
    path = events[0]
    answers = [{"daemons": [{"address": "2001:db8:c::2", "nodes": 1}], "drops": []}, NOTHING]

    async def run():
        feed = Feed(PageReader(path), lambda: answers[0] if len(answers) > 1 else answers[-1])
        before = feed.state()["as_of"]["2001:db8:c::2"]
        running = asyncio.create_task(feed.run())
        async with feed.follow(1) as queue:
            told_of = await until_named(queue, "watch")
            answered = told_of["as_of"]["2001:db8:c::2"]
            assert told_of["daemons"] and answered >= before
            del answers[0]
            told_of = await until_named(queue, "watch")
            assert told_of["daemons"] == []
            frozen = told_of["as_of"]
            beats = [await until_named(queue, "beat") for _ in range(2)]
            assert beats[1]["now"] > beats[0]["now"] and beats[1]["as_of"] == frozen
        feed.end()
        await running

    asyncio.run(run())


async def until_named(queue, name):
    """What the next message of this name says."""
    while True:
        lines, what = told(await asyncio.wait_for(queue.get(), 30))
        if lines.get("event") == name:
            return what


def test_who_is_in_need_is_among_the_first(events, monkeypatch):
    """Though there are more nodes than a browser is sent."""
    path, writer = events
    now = time.time_ns() // 1_000_000

    def known(number, **what):
        fields = {"board": "b", "later_keys": 0, "state": "bound", "care_of": home(number)}
        fields |= {"sequence": 1, "generation": 0, "seen": now, "expires": now + 10**6, **what}
        return (home(number), *fields.values(), "native", None, what.get("name"))

    rows = [known(n) for n in range(0x10, 0x40)]
    rows += [
        known(0x40, state="never", sequence=None, generation=None),
        known(0x41, sequence=65535 - 100),
        known(0x42, sequence=65535 - 100, later_keys=1),
        known(0x43, state="expired"),
        known(0x44, expires=now - 5000),
    ]
    writer.know([row[:12] for row in rows], None)
    monkeypatch.setattr(feed_module, "STATE_NODES_MAX", 5)
    feed = Feed(PageReader(path), lambda: NOTHING)
    found = [node["home_address"].rpartition(":")[2] for node in feed.state()["nodes"]]
    assert found == ["43", "44", "41", "40", "10"]


def test_names_and_data_are_told_though_nothing_happened(events):
    path, writer = events

    async def run():
        feed = Feed(PageReader(path), lambda: NOTHING)
        known = feed.state()["known"]
        async with feed.follow(1) as queue:
            await feed.watch()
            drain(queue)
            writer.know([(home(1), "b", 0, "bound", None, 0, 0, 1, 1, None, None, "ferry")], [])
            await feed.watch()
            ((lines, what),) = drain(queue)
            assert lines["event"] == "watch" and what["known"] != known
            state = feed.state()
            assert state["known"] == what["known"] and state["nodes"][0]["name"] == "ferry"
            writer.heard([(home(1), 1234)])
            await feed.watch()
            ((lines, what),) = drain(queue)
            assert lines["event"] == "heard"
            assert what["heard"] == [["2001:db8:c::2", "2001:db8:a::1", 1234]]
            await feed.watch()
            assert drain(queue) == []

    asyncio.run(run())


def test_troubles_are_told_with_their_node_and_bounded(events):
    """A refusal or drop stands with its node for ten minutes; a flood of them fills nothing."""
    path, writer = events
    now = time.time_ns() // 1_000_000

    def refused(number, at_ms, kind="refused", reason="sequence"):
        return (at_ms, kind, home(number), *(None,) * 5, 3, reason, *(None,) * 3)

    writer.add([refused(1, now - 700_000), refused(2, now)], [])
    feed = Feed(PageReader(path), lambda: NOTHING)
    assert "trouble" not in feed.state()["nodes"][0]  # too long ago
    writer.add([refused(1, now, "dropped", "authenticator")], [])
    trouble = feed.state()["nodes"][0]["trouble"]
    assert trouble["kind"] == "dropped" and trouble["count"] == 3 and "key" in trouble["advice"]
    writer.add([refused(n, now) for n in range(2, 5000)], [])
    assert "trouble" not in feed.state()["nodes"][0]
    assert len(feed._troubles._of) == 1000


def test_a_daemon_that_is_stuck_is_not_waited_for(events):
    """What the daemons said before is shown."""

    def stuck():
        time.sleep(3)
        return NOTHING

    with TestClient(
        make_app(PageReader(events[0]), None, stuck), base_url="http://localhost"
    ) as one:
        started = time.monotonic()
        assert one.get("/state").json()["nodes"]
        assert time.monotonic() - started < 2.5


# --- the command, over real sockets


@contextmanager
def served(path, *options):
    """The page, from its first line on: where, and that line."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        where = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        command("--events", str(path), "--listen", where, *options),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        yield where, process.stdout.readline()
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_local_users_need_the_token_too(events):
    """The file of events is its owner's alone."""
    path = events[0]
    made = path.with_suffix(".token")
    with served(path) as (where, line):
        assert line == f"http://{where}/, opened by the token in {made}\n"
        assert made.stat().st_mode & 0o777 == 0o600
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"http://{where}/state", timeout=30)
        request = urllib.request.Request(f"http://{where}/state")
        request.add_header("Authorization", f"Bearer {made.read_text().strip()}")
        assert json.load(urllib.request.urlopen(request, timeout=30))["last"] == 1


def test_silent_visitors_close_the_page_to_nobody(events):
    with served(events[0], "--no-token") as (where, _):
        host, port = where.split(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(300)]
        assert json.load(urllib.request.urlopen(f"http://{where}/state", timeout=30))["last"] == 1
        for one in silent:
            one.close()


def command(*arguments):
    return [sys.executable, "-m", "roamkey", "correspondent", "page", *arguments]


def test_usage(tmp_path, events):
    def run(*arguments):
        done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=30)
        return done.returncode, done.stderr

    given = ("--events", str(events[0]))
    code, text = run(*given, "--listen", "[::]:8099", "--no-token")
    assert code == 2 and "--no-token" in text
    assert run("--events", str(tmp_path / "none"))[0] == 1
    with socket.create_server(("127.0.0.1", 0)) as busy:
        where = f"127.0.0.1:{busy.getsockname()[1]}"
        assert run(*given, "--listen", where) == (
            5, f"roamkey: page at {where}: Address already in use\n",
        )  # fmt: skip
    assert run(*given, "--listen", "192.0.2.1:8080", "--token-file", str(tmp_path / "t"))[0] == 5


def test_a_real_server_streams_and_ends(events):
    path, writer = events
    with socket.create_server(("127.0.0.1", 0)) as free:
        where = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        command("--events", str(path), "--listen", where, "--no-token"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout.readline() == f"http://{where}/\n"
    with urllib.request.urlopen(f"http://{where}/state", timeout=30) as answer:
        assert "server" not in answer.headers
        last = json.load(answer)["last"]
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://{where}/events?after=x", timeout=30)
    with urllib.request.urlopen(f"http://{where}/events?after={last}", timeout=30) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        ids = []
        for number in range(20):
            add(writer, number)
        while not ids or ids[-1] < last + 20:
            line = stream.readline().decode()
            if line.startswith("data: ") and '"events"' in line:
                ids += [event["id"] for event in json.loads(line[6:])["events"]]
        assert ids == list(range(last + 1, last + 21))
        process.send_signal(signal.SIGTERM)
        rest = stream.read()  # it ends
    assert b"error" not in rest
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
