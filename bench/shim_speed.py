"""sha1 of firmware/lib beside the native one: `micropython shim_speed.py FOLDER`."""

import json
import sys
import time

import uhashlib


def microseconds(function, data, times):
    """Mean time of one digest, the best of five rounds."""
    best = None
    for _ in range(5):
        start = time.ticks_us()
        for _ in range(times):
            function(data).digest()
        spent = time.ticks_diff(time.ticks_us(), start) / times
        best = spent if best is None else min(best, spent)
    return best


def main(folder):
    """Print the times of the board's own SHA-1 and of the shim in `folder`, as JSON."""
    sys.path.insert(0, folder)
    own = __import__("hashlib._sha1", None, None, ("sha1",)).sha1
    data = bytes(60)  # an HMAC's inner hash, beyond its ready-made pad: two blocks
    native = microseconds(uhashlib.sha1, data, 2000)
    shim = microseconds(own, data, 100)
    print(json.dumps({"native_us": native, "shim_us": shim, "ratio": shim / native}))


main(sys.argv[1])
