"""`python -m roamkey` is the command `roamkey`."""

from roamkey.cli import main

main()
