"""The Linux end: a binding cache that believes nobody without a key, and the daemon round it.

entries     what the parts hand to each other
replies     Binding Acknowledgements and Binding Errors
limiter     how often a source is refused
cache       the checks, in order; no I/O
store       the durable side, over the registry
responder   a burst: judged, committed as one group, answered
sockets     raw IPv6
daemon      the loop, its signals, its one-a-host lock
log         a line for each event, JSON or human
"""
