"""What puts keys on boards and takes them off, so that an interruption at any moment loses none.

site          the correspondent, home prefix and reach that boards are given by default
home          home addresses from a prefix
reach         where boards reach their correspondents inside UDP
plan          what a board is to hold, and the sets of keys made for it
deliver       a set on its way: `provision`, `rekey`; what is certain when
held          what a board holds then, as it is told
erase         keys off a board, or out of the registry where the board is lost
lock          the seal of a board: `seal`, `unseal`
keyfile       the files by which a secret enters a command
transferfile  the file that carries a correspondent's keys to another machine
"""
