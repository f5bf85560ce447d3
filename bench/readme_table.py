"""Print the README's headline and numbers from what the benches left in bench/out (Markdown).

`make bench fuzz size` first; a figure whose bench did not run is left out. `--check` compares
README.md instead: exit code 1 where it names other numbers than the table printed here.
"""

import json
import sys
from pathlib import Path

from results import OUT

README = Path(__file__).parents[1] / "README.md"

# Phases of bench/handover.py
_ROUTER, _ADDRESS = "link up → router heard", "router heard → address announced"
_UPDATE = "address usable → update on the link"
_BOUND, _DATAGRAM = "update on the link → bound", "bound → first datagram heard"


def read(name: str) -> dict:
    """What a bench left, or nothing."""
    path = OUT / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def headline(found: dict) -> str:
    """What a user feels of a move, and whose part of it is which: the README's first number."""
    felt, phases = found["link_up_to_datagram_ms"], found["phases_ms"]
    waits = phases[_ROUTER] + phases[_ADDRESS]
    way = phases[_BOUND] + phases[_DATAGRAM]
    pico = read("pico_w_handover")
    on_pico = ""
    if pico:
        told = pico["move"]["up_to_update"]["median"]
        on_pico = f" On an emulated Pico W, by its own clock, the update leaves after {told} ms."
    return (
        f"**On Linux {felt['median']:.0f} ms from a new network's link to the first datagram that "
        f"the correspondent's program hears** (median of {found['moves']} moves, "
        f"{felt['p95']:.0f} ms at the 95th percentile, {found['one_way_ms']:g} ms one way, "
        f"duplicate address detection on): kernel and router {waits:.1f} ms, the agent "
        f"{phases[_UPDATE]:.1f} ms, three times the way and a commit to disk {way:.1f} ms."
        + on_pico
    )


def handover(found: dict) -> list[tuple[str, str, str]]:
    """Rows of (what, measured, beside)."""
    felt, lossy = found["link_up_to_datagram_ms"], found["loss10"]["link_up_to_datagram_ms"]
    bound, phases = found["link_up_to_bound_ms"], found["phases_ms"]
    overlap = found["make_before_break"]
    return [
        (
            f"link up → first datagram heard, {found['one_way_ms']:g} ms one way",
            f"{felt['median']:.1f} ms (median of {found['moves']} moves), 95 % within "
            f"{felt['p95']:.1f} ms",
            f"kernel and router {phases[_ROUTER] + phases[_ADDRESS]:.1f}, agent "
            f"{phases[_UPDATE]:.1f}, way and disk {phases[_BOUND] + phases[_DATAGRAM]:.1f} ms",
        ),
        (
            "the same, every tenth packet lost each way",
            f"{lossy['median']:.1f} ms, 95 % within {lossy['p95']:.1f} ms",
            "",
        ),
        (
            f"datagrams lost where two uplinks overlap, {overlap['moves']} moves",
            f"{overlap['datagrams_lost']} of {overlap['said']:,}, both directions",
            "",
        ),
        ("link up → correspondent bound", f"{bound['median']:.1f} ms", ""),
        (
            "of that signalling: address usable → bound",
            f"{found['signalling_ms']:.1f} ms",
            f"{found['return_routability_ms']:.1f} ms: the least that return routability needs",
        ),
    ]


def routes(found: dict) -> list[tuple[str, str, str]]:
    """A row on what authorizes, side by side."""
    return [
        (
            "address usable → bound: static key; return routability; at the home agent",
            f"{found['static_key_ms']:.1f} ms; {found['return_routability_ms']:.1f} ms; "
            f"{found['home_agent_ms']:.1f} ms",
            f"three daemons, each {found['one_way_ms']:g} ms away, {found['moves']} moves",
        )
    ]


def pico_w_handover(found: dict) -> list[tuple[str, str, str]]:
    """Rows on moves of a Pico W (emulated), by its own clock."""
    rows = []
    for kind, what, span in (
        ("move", "Pico W, emulated: link up → update sent, another network", "up_to_update"),
        (
            "elsewhere",
            "link lost → update sent, another router behind the same SSID",
            "down_to_update",
        ),
        (
            "replugged",
            "the router behind an SSID replaced, no link lost → update sent",
            "begun_to_update",
        ),
    ):
        if kind in found:
            told, moves = found[kind][span], found[kind]["moves"]
            rows.append(
                (
                    what,
                    f"{told['median']} ms, {told['worst']} at worst ({moves} moves)",
                    f"sequence numbers used: {found[kind]['numbers']} at most",
                )
            )
    return rows


def anynetwork(found: dict) -> list[tuple[str, str, str]]:
    """Rows on ways."""
    overhead = found["octets_overhead"]
    return [
        (
            "signalling inside UDP: over IPv6; over IPv4, behind a NAT",
            f"{found['udp6_ms']:.1f} ms; {found['udp4_ms']:.1f} ms",
            f"{found['native_ms']:.1f} ms natively",
        ),
        (
            "a network that drops native packets, for the first time",
            f"{found['fallback_ms']:.0f} ms",
            "",
        ),
        (
            f"a NAT forgot the port of a silent board, keepalives each {found['keepalive_s']} s",
            f"{found['rebind_s']:.1f} s (most of {found['forgets']})",
            "",
        ),
        (
            "octets added to each packet: over IPv6; over IPv4",
            f"{overhead['udp6']}; {overhead['udp4']}",
            f"{overhead['native']} natively",
        ),
    ]


def wear(found: dict) -> list[tuple[str, str, str]]:
    """Rows on flash."""
    return [
        (
            f"flash erases for {found[board]['long_session']['uses']:,} updates, {board}",
            f"{found[board]['long_session']['erases']}",
            f"{found[board]['long_session']['naive_erases']:,}: the record rewritten each time",
        )
        for board in ("rp2", "esp32")
    ]


def cuts(found: dict) -> list[tuple[str, str, str]]:
    """Rows on power cuts."""
    return [
        (
            f"power cuts tried: {found['tried']:,}",
            f"{found['reused']} numbers used twice, {found['lost_sets']} key sets lost",
            f"{found['most_lost']} numbers skipped by one cut at most",
        )
    ]


def correspondent(found: dict) -> list[tuple[str, str, str]]:
    """Rows on the daemon."""
    rows = [
        (
            "Binding Updates a second, durable before the answer, one core, SQLite",
            f"{found['durable_bu_per_s']:,}",
            f"{found['commit_each_per_s']:,} with a commit each; {found['scapy_per_s']:,} on "
            f"scapy, not durable; {found['hmac_only_per_s']:,} for the HMACs alone",
        ),
        (
            "100,000 nodes: start, memory",
            f"{found['start_100k_s']:.1f} s, {found['rss_100k_octets'] / 1e6:.0f} MB",
            "",
        ),
    ]
    if "throughput_ratio" in found:
        rows.append(
            (
                "a download of 50 MB to a home address, through the data plane",
                f"{found['throughput_ratio']:.2f} of the plain path's speed",
                "a plain host beside it, same server",
            )
        )
    return rows


def dataplane(found: dict) -> list[tuple[str, str, str]]:
    """A row on the planes, all in one kernel."""
    kernel, tun, udp = found["kernel"], found["tun"], found["udp"]
    return [
        (
            "data to and from a home address, the slower way, in one kernel: by its own Mobile "
            "IPv6; by the TUN device; inside UDP",
            f"{kernel['ratio']:.2f}; {tun['ratio']:.2f}; {udp['ratio']:.3f} of the plain path",
            f"plain TCP: {kernel['plain_mbit']:,.0f} Mbit/s",
        ),
        (
            f"a move with {found['bindings']:,} bindings in that kernel",
            f"{found['move_ms']:.2f} ms",
            f"{found['moves']['moves']} under one TCP connection, none broken",
        ),
    ]


def provisioning(found: dict) -> list[tuple[str, str, str]]:
    """Rows on boards."""
    return [
        ("a bare virtual board → registered", f"{found['one_board_s']:.1f} s", ""),
        (
            "16 of them in one batch",
            f"{found['batch16_s']:.1f} s",
            f"{found['one_by_one16_s']:.1f} s one by one",
        ),
    ]


def footprint(found: dict) -> list[tuple[str, str, str]]:
    """Rows on the Pico W and the ESP32-C3 (emulated)."""
    return pico_w(found) + esp32_c3(found)


def pico_w(found: dict) -> list[tuple[str, str, str]]:
    """Rows on the Pico W."""
    board, frozen = found["pico_w"], found.get("pico_w_frozen", {})
    rows = [
        (
            "the agent on a Pico W: its files in blocks of flash; with folders and records",
            f"{board['agent_flash_octets']:,}; {board['installed_flash_octets']:,} octets",
            "0, frozen into a firmware of one's own" if frozen else "",
        )
    ]
    if "agent_ram_octets" in board:
        frozen_ram = f"; {frozen['agent_ram_octets']:,}, frozen" if frozen else ""
        rows.append(
            (
                "its RAM on a Pico W's firmware, emulated, registered",
                f"{board['agent_ram_octets']:,} octets{frozen_ram}",
                f"{board['free_before_octets']:,} were free",
            )
        )
        rows.append(
            (
                "a Binding Update built and authenticated there, Kbm ready; from a new address",
                f"{board['bu_ready_ms']:.1f} ms; {board['bu_new_address_ms']:.1f} ms",
                "",
            )
        )
    return rows


def esp32_c3(found: dict) -> list[tuple[str, str, str]]:
    """A row on the ESP32-C3; no times, as the emulator's clock counts instructions."""
    ours, stock = found.get("esp32_c3", {}), found["esp32_c3_stock"]
    if not ours or "agent_ram_octets" not in stock:
        return []
    return [
        (
            "its RAM on an ESP32-C3, emulated, registered: on upstream's firmware; frozen into "
            "one of one's own",
            f"{stock['agent_ram_octets']:,}; {ours['agent_ram_octets']:,} octets",
            f"{stock['free_before_octets']:,}; {ours['free_before_octets']:,} were free; Wi-Fi "
            f"takes {stock['wifi_idf_octets']:,}",
        )
    ]


def esp32_handover(found: dict) -> list[tuple[str, str, str]]:
    """A row on moves of an ESP32-C3 (emulated), by its own clock."""
    move, up = found["move"]["begun_to_update"], found["move"]["up_to_update"]
    return [
        (
            "ESP32-C3, emulated: access point lost → update sent, another network; link up → "
            "update sent",
            f"{move['median']}; {up['median']} ms (worst {move['worst']:,}; {up['worst']})",
            f"{found['move']['moves']} moves; the first one scans",
        )
    ]


def startup(found: dict) -> list[tuple[str, str, str]]:
    """A row on what commands cost before they do anything."""
    ours = found["roamkey"]
    return [
        (
            "processor time of `roamkey --help`; `status` on a port that isn't there; `bindings`",
            f"{ours['help']:.0f} ms; {ours['status_absent']:.0f} ms; {ours['bindings']:.0f} ms",
            f"`mpremote --help` {found['mpremote']['help']:.0f} ms, `esptool version` "
            f"{found['esptool']['version']:.0f} ms",
        )
    ]


def table() -> str:
    """The whole table, as far as its benches ran."""
    lines = ["| what | measured | beside, in the same run |", "|---|---|---|"]
    for rows in (
        handover, routes, anynetwork, pico_w_handover, esp32_handover, cuts, wear, correspondent,
        dataplane, provisioning, footprint, startup,
    ):  # fmt: skip
        found = read(rows.__name__)
        if found:
            lines += [f"| {' | '.join(row)} |" for row in rows(found)]
    return "\n".join(lines)


def main() -> int:
    """Print the table, or check the README against it."""
    found = read("handover")
    first = [headline(found)] if found else []
    if "--check" not in sys.argv:
        print(*first, table(), sep="\n\n")
        return 0
    readme = README.read_text()
    missing = [line for line in [*first, *table().splitlines()] if line not in readme]
    for line in missing:
        print("not in README.md:", line, file=sys.stderr)
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
