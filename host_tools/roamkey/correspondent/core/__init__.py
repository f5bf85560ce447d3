"""What a correspondent decides, without I/O: time, packets and a store come in as arguments.

entries     what the parts hand to each other
nodes       who is known, and where; expiries: who is to be looked at when
endpoints   the ways to a node, and the endpoint of one behind UDP
updates     a Binding Update as it came; authentic: one whose authenticator verified
inside      what came inside UDP, read
cache       the checks, in order; others: what isn't a Binding Update
routability bindings of nodes without a key; nonces: what its tokens are made of
places      where nodes may be
replies     Binding Acknowledgements, Binding Errors, Home and Care-of Tests
limiter     how often what anybody can cause is done
triage      what is looked at where more comes than can be
responder   a burst: judged, committed as one group, answered
refresh     Binding Refresh Requests
reasons     why packets are dropped, and what to do about it
"""
