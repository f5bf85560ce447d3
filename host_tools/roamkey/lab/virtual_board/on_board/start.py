# mypy: ignore-errors
"""What the interpreter is told to run; its globals become those of boot.py, main.py and REPL."""

import _virtual_board

_virtual_board.run(globals())
