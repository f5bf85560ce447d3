"""Programs that know nothing of Mobile IPv6, run on either end: `programs.py NAME ARGUMENT…`.

Each prints a line of JSON at its end. They use plain sockets and what comes with Python.
"""

import contextlib
import hashlib
import json
import select
import socket
import struct
import sys
import time
import urllib.request


def send(one, data, address, port):
    """Between two networks there is no way, and the system says so."""
    with contextlib.suppress(OSError):
        one.sendto(data, (address, port))


def ping(address, count, interval):
    """As ping(8), where that isn't installed: {"sent", "received", "lost"}."""
    one = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    answered = set()
    for number in range(int(count) + 1):
        if number < int(count):
            send(one, struct.pack("!BBHHH", 128, 0, 0, 0x524B, number) + bytes(56), address, 0)
        until = time.monotonic() + (float(interval) if number < int(count) else 0.5)
        while (left := until - time.monotonic()) > 0:
            one.settimeout(left)
            try:
                answer = one.recv(2048)
            except TimeoutError:
                break
            kind, _, _, mark, seen = struct.unpack_from("!BBHHH", answer)
            if (kind, mark) == (129, 0x524B):
                answered.add(seen)
    tell(sent=int(count), received=len(answered), lost=sorted({*range(int(count))} - answered))


def udp(address, port, count, interval, octets=16):
    """Datagrams to something that sends them back: {"sent", "received", "from"}."""
    one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    answered, sources = set(), set()
    for number in range(int(count) + 1):
        if number < int(count):
            octets_of_it = number.to_bytes(4, "big") + bytes(int(octets) - 4)
            send(one, octets_of_it, address, int(port))
        until = time.monotonic() + (float(interval) if number < int(count) else 0.5)
        while (left := until - time.monotonic()) > 0:
            one.settimeout(left)
            try:
                data, source = one.recvfrom(65535)
            except TimeoutError:
                break
            answered.add((data[:4], len(data)))
            sources.add(source[0])
    tell(sent=int(count), received=len(answered), sources=sorted(sources))


def udp_echo(address, port, keep=65535):
    """Send back the first octets of every datagram, until ended."""
    one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    one.bind((address, int(port)))
    tell(ready=True)
    while True:
        data, source = one.recvfrom(65535)
        one.sendto(data[: int(keep)], source)


def download(url, octets_per_s=0):
    """Fetch over HTTP, in one connection: {"octets", "sha256", "seconds"}. 0: at full speed."""
    digest, octets, start = hashlib.sha256(), 0, time.monotonic()
    with urllib.request.urlopen(url, timeout=60) as answer:
        while chunk := answer.read(1 << 16):
            digest.update(chunk)
            octets += len(chunk)
            if int(octets_per_s):
                time.sleep(max(0, start + octets / int(octets_per_s) - time.monotonic()))
    seconds = time.monotonic() - start
    tell(octets=octets, sha256=digest.hexdigest(), seconds=seconds)


def upload(address, port, octets):
    """Send octets over TCP; what the other end has counted: {"octets"}."""
    with socket.create_connection((address, int(port)), timeout=60) as one:
        one.sendall(bytes(int(octets)))
        one.shutdown(socket.SHUT_WR)
        tell(octets=int(one.makefile().read()))


def sink(address, port):
    """Count what a TCP connection brings, and say so at its end; until ended."""
    with socket.create_server((address, int(port)), family=socket.AF_INET6) as listening:
        tell(ready=True)
        while True:
            one, _ = listening.accept()
            with one:
                octets = 0
                while data := one.recv(1 << 16):
                    octets += len(data)
                one.sendall(str(octets).encode())


def stream(address, port, octets_per_s):
    """Send octets to who connects, until standard input ends: {"octets", "sha256"}."""
    with socket.create_server((address, int(port)), family=socket.AF_INET6) as listening:
        tell(ready=True)
        one, _ = listening.accept()
    digest, octets, start = hashlib.sha256(), 0, time.monotonic()
    with one:
        while not select.select([sys.stdin], [], [], 0)[0]:
            chunk = b"".join(number.to_bytes(4, "big") for number in range(octets, octets + 4096))
            one.sendall(chunk)
            digest.update(chunk)
            octets += len(chunk)
            time.sleep(max(0, start + octets / int(octets_per_s) - time.monotonic()))
    tell(octets=octets, sha256=digest.hexdigest())


def fetch(address, port):
    """What a stream brings, in one connection: {"octets", "sha256"}."""
    digest, octets = hashlib.sha256(), 0
    with socket.create_connection((address, int(port)), timeout=60) as one:
        while data := one.recv(1 << 16):
            digest.update(data)
            octets += len(data)
    tell(octets=octets, sha256=digest.hexdigest())


def tell(**what):
    """A line on standard output, at once."""
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
