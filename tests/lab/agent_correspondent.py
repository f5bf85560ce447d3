"""A scripted correspondent on raw sockets that acknowledges updates: give it the home address.

Standard output: a line of JSON for each update. What isn't a right update ends it.
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

print(json.dumps({"ready": True}), flush=True)
while True:
    for ready in select.select(list(receivers), [], [])[0]:
        payload, place = ready.recvfrom(4096)
        source = socket.inet_pton(socket.AF_INET6, place[0])
        update = cn.read((source, peer.CN, receivers[ready], payload))
        _, destination, next_header, answer = cn.answer(update)
        raw[next_header].sendto(answer, (addresses.text(destination), 0))
        line = {"sequence": update.sequence, "care_of": place[0], "lifetime": update.lifetime}
        print(json.dumps(line), flush=True)
