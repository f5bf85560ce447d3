"""A scripted correspondent on raw sockets that acknowledges updates: give it the home address.

Standard output: a line of JSON for each update, {"sequence", "care_of", "lifetime"}, for each
datagram, {"data", "care_of"}, and for each answer to a ping, {"pong": number}. A datagram is
answered with {"every": 0.05} and a ping, through a routing header where it came with a Home
Address option. What isn't right ends it.
"""

import json
import select
import socket
import sys

import peer

from mip6 import addresses, packets

cn = peer.Correspondent(home=addresses.parse(sys.argv[1]))
raw = {}
for protocol in (packets.DESTINATION_OPTIONS, packets.MOBILITY, packets.ROUTING):
    raw[protocol] = socket.socket(socket.AF_INET6, socket.SOCK_RAW, protocol)
    raw[protocol].bind((addresses.text(peer.CN), 0))
receivers = {raw[kind]: kind for kind in (packets.DESTINATION_OPTIONS, packets.MOBILITY)}


def take_data(packet, care_of):
    """Check and print what a node sent; answer a datagram."""
    assert packet.checksum_ok()
    assert packet.logical_source == cn.home
    if packet.protocol == packets.ICMPV6:
        assert bytes(packet.payload[:2]) == b"\x81\0"
        print(json.dumps({"pong": packet.payload[7]}), flush=True)
        return
    port = int.from_bytes(packet.payload[:2], "big")
    data = bytes(packet.payload[8:]).decode()
    print(json.dumps({"data": json.loads(data), "care_of": care_of}), flush=True)
    answer = packets.udp(peer.CN, cn.home, port, port, b'{"every": 0.05}')
    send(packets.UDP, answer, packet)
    ping = bytes((128, 0, 0, 0, 0, 1, 0, json.loads(data)["n"] & 255))
    value = packets.checksum(peer.CN, cn.home, packets.ICMPV6, ping)
    send(packets.ICMPV6, ping[:2] + value.to_bytes(2, "big") + ping[4:], packet)


def send(protocol, payload, question):
    """Answer through a routing header to where the question came from."""
    if question.home_address is not None:
        payload = packets.routing_header(cn.home, protocol) + payload
        raw[packets.ROUTING].sendto(payload, (addresses.text(question.source), 0))


print(json.dumps({"ready": True}), flush=True)
while True:
    for ready in select.select(list(receivers), [], [])[0]:
        payload, place = ready.recvfrom(4096)
        source = socket.inet_pton(socket.AF_INET6, place[0])
        packet = packets.parse_payload(receivers[ready], payload, source, peer.CN)
        if packet.protocol != packets.MOBILITY:
            take_data(packet, place[0])
            continue
        update = cn.read((source, peer.CN, receivers[ready], payload))
        _, destination, next_header, answer = cn.answer(update)
        raw[next_header].sendto(answer, (addresses.text(destination), 0))
        line = {"sequence": update.sequence, "care_of": place[0], "lifetime": update.lifetime}
        print(json.dumps(line), flush=True)
