"""The parts of a virtual board: its flash image, the interpreter's life, its serial line.

`roamkey.lab.board.VirtualBoard` puts them together; `on_board/` runs under MicroPython.
"""
