"""Runs under MicroPython (test_inplace.py): moves the agent's functions to a copy of their files,
then uses them. Prints a line a fact."""

import gc
import json
import sys

import inplace_bytecode
import uctypes

WORD = 8  # octets of a pointer
PIECE = 4096


class Pointers:
    """machine.mem32, of 64 bits."""

    def __getitem__(self, address):
        return int.from_bytes(uctypes.bytearray_at(address, WORD), "little")

    def __setitem__(self, address, pointer):
        uctypes.bytearray_at(address, WORD)[:] = pointer.to_bytes(WORD, "little")


def use():
    """What the agent computes: addresses, tokens, keys, an update on its way and its answer."""
    from mip6 import addresses, agent, base

    home, care_of, cn = (addresses.parse(f"2001:db8:{n}::7") for n in (10, 1, 12))
    kcn, nonce = bytes(range(20)), bytes(8)
    told = [addresses.text(home)]
    tokens = (
        base.home_keygen_token(kcn, home, nonce),
        base.care_of_keygen_token(kcn, care_of, nonce),
    )
    told.append(base.binding_management_key(*tokens).hex())
    told.append(base.udp(home, cn, 5005, 5005, b"reading").hex())
    try:
        base.decode(b"short")
    except Exception as error:
        told.append(type(error).__name__)
    part = base.Part("this")
    part.note(ValueError("fault"))
    told.append([part.faults, part.fault, "Traceback" in part.traceback])
    reader = agent.LineReader()
    told.append([reader.feed(octet) for octet in b"line\n"][-1].decode())
    return told


def main():
    """Use, move, use again."""
    from mip6 import agent, base, bindings, keystore, ports

    before = use()
    print("before", json.dumps(before))
    memory = uctypes.bytearray_at
    mover = inplace_bytecode.Mover(memory, Pointers(), WORD, lambda address: address > 65536)
    flash = []
    straddling = 0
    gc.collect()
    start = gc.mem_free()
    copies = 0
    for module in (agent, base, bindings, keystore, ports):
        with open(module.__file__, "rb") as file:  # noqa: PTH123 (MicroPython's)
            octets = file.read()
        copy = bytearray(octets)
        if sys.argv[1] == "differs":
            for at, length, _ in inplace_bytecode.functions(lambda at, o=octets: o[at]):
                copy[at + length - 1] ^= 1
        flash.append(copy)
        copies += len(copy)
        address = uctypes.addressof(copy)

        def place(at, count, address=address):
            nonlocal straddling
            if at // PIECE != (at + count - 1) // PIECE:
                straddling += 1
                return None
            return address + at

        mover.move(module, lambda at, o=octets: o[at], place)
        del octets
    gc.collect()
    freed = gc.mem_free() - start + copies
    litter = [bytes(48) for _ in range(2000)]  # where the copies were
    after = use()
    print("after", json.dumps(after))
    print("moved", mover.moved)
    print("octets", mover.octets)
    print("straddling", straddling)
    print("freed", freed)
    del litter


main()
