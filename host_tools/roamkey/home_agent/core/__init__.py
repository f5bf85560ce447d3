"""What a home agent decides, without I/O: time, packets and a store come in as arguments.

cache      the checks of a home registration, in order; what waits for duplicate address detection
authentic  the MN-HA authentication option (RFC 4285), read, verified and made
"""
