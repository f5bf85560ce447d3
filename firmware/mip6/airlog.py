"""Answers to who asks for the event log over the air: UDP port 4449 of the home address.

A datagram holds the number of a block in decimal digits, or nothing: the newest. Only
correspondents with a binding are answered, one datagram each 100 ms at most; whoever asks sees to
it that what is lost is asked for again. Loaded when somebody asks.
"""

import json

from . import packets
from .compat import const

_HEADER = const(8)  # of UDP
_OCTETS_MAX = const(1208)  # see datagrams.py


def answer(log, source, header):
    """Answer a datagram (`header`: UDP header and data) from 16 octets of address; or don't."""
    node = log.node
    bindings = node.bindings
    if bindings.find(source) is None or not bindings.reaches(source):
        return
    asked = bytes(header[_HEADER : header[4] << 8 | header[5]])
    try:
        number = int(asked) if asked else None
    except ValueError:
        return
    told = log.tell(number)
    told["asked"] = number
    data = json.dumps(told).encode()
    if len(data) <= _OCTETS_MAX:
        port = header[0] << 8 | header[1]
        datagram = packets.udp(bindings.home_address, source, log.port, port, data)
        node.send_data(bindings.carry(source, packets.UDP, datagram))
