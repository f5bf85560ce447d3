"""Run one file of core tests under MicroPython: `micropython run.py test_keys`.

Prints a line a test and a closing line `N passed, N failed`; the exit code is the number failed.
MICROPYPATH (or the current folder) must reach the firmware and this folder.
"""

import sys


def main(name):
    """Import the module `name` and call each of its `test_` functions."""
    module = __import__(name)
    passed = failed = 0
    for test in sorted(dir(module)):
        if not test.startswith("test_"):
            continue
        try:
            getattr(module, test)()
        except Exception as error:
            failed += 1
            print("FAILED", test)
            sys.print_exception(error)
        else:
            passed += 1
            print("passed", test)
    print(passed, "passed,", failed, "failed")
    return failed or (1 if not passed else 0)


sys.exit(main(sys.argv[1]))
