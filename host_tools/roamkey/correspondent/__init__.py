"""The Linux end: a binding cache that believes nobody without a key, and the daemon round it.

entries     what the parts hand to each other
replies     Binding Acknowledgements and Binding Errors
limiter     how often a source is refused
cache       the checks, in order; no I/O
store       the durable side, over the registry
responder   a burst: judged, committed as one group, answered
sockets     raw IPv6
refresh     Binding Refresh Requests; no I/O
daemon      the loop
signals     SIGTERM, SIGINT and SIGHUP
control     one daemon an address; what it tells to those who ask
status      what there is to tell; status_view: the same for people
reasons     why packets are dropped, and what to do about it
metrics     the same for Prometheus
supervisor  the same for systemd
log         a line for each event, JSON or human
"""
