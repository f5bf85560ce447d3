"""Cut power everywhere: `micropython cuts.py GEOMETRY SCALE SEED THIN [broken]` prints JSON."""

import gc
import json
import sys

from story import Story

from mip6.keystore import ledger as sequence


def break_counter():
    """Write the reservation after the number is given out: the mistake that cuts must show."""
    right = sequence.Ledger.take

    def wrong(ledger, index):
        if ledger.nexts[index] < ledger.limits[index]:
            return right(ledger, index)
        number = ledger.nexts[index]
        ledger.nexts[index] = ledger.limits[index] = number + 1
        ledger.uses[index] += 1
        if number & 3 == 3:
            ledger._write(ledger.generations, ledger.limits)
        return number

    sequence.Ledger.take = wrong


def main(geometry, scale, seed, thin, broken=""):
    gc.threshold(1 << 20)
    if broken:
        break_counter()
    story = Story(geometry, float(scale), int(seed), int(thin))
    try:
        story.tell()
    except AssertionError:
        if not broken:
            raise
    result = story.tally.as_dict()
    result["uses"] = story.uses
    result["steps"] = story.steps
    print(json.dumps(result))


main(*sys.argv[1:])
