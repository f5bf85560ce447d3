"""The Linux end: a binding cache that believes nobody without a key, and the daemon round it.

core/        what is decided, without I/O
store        the durable side, over the registry
inbox        what waits and is to be judged
sockets      raw IPv6; encapsulation: UDP; bpf, buffers: what sockets are given
serving      the parts put together
daemon       the loop; settings: how it is to serve; helper: a thread for what may take its time
telling      what is told of its work: log, events, systemd
following    others' changes to the registry, taken over as they happen
highwater    whether the registry is an older one than was served before
localaddress how an address of this host stands
clock        the wall's time, and the steady one by which bindings live
service      SIGTERM, SIGINT and SIGHUP; what systemd is told
privileges   under sudo, as the user who called it
control      one daemon an address; what it tells to those who ask
status       what there is to tell
metrics      the same for Prometheus
log          a line for each event, JSON or human
view         bindings, drops and status for people and machines
dataplane/   data to and from nodes, in a process of its own
events/      what happened, kept in a file
page/        the same live, in a browser
"""
