"""The live page of the correspondents on this host: a process of its own, without any right.

It reads the file of events and asks daemons by their control sockets. It never opens the registry:
nothing that it could serve by mistake is a secret, and no HTTP is spoken where raw sockets are.
"""
