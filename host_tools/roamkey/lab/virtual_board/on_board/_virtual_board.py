# mypy: ignore-errors
# ruff: noqa: PTH123, SIM115
"""The boot of a virtual board, under MicroPython: mount the flash, run boot.py and main.py.

It does what ports/rp2/modules/_boot.py and ports/rp2/main.c do on hardware. It talks with its
supervisor over a socket of its own, an octet at a time:

    M  the flash is mounted; waits for one octet, then runs boot.py and main.py
    P  the REPL is next; waits for one octet
    S  boot.py or main.py asked for a soft reset (SystemExit); never continues
    R  machine.reset(); never continues
"""

import builtins
import io
import sys

import machine
import micropython
import vfs

_SETTINGS = "/proc/sys/net/ipv6/conf/"


class Flash:
    """An image file as a block device. Writes are write(2) calls: what returned, the OS has."""

    def __init__(self, image, block_count, block_size):
        self.image = image
        self.block_count = block_count
        self.block_size = block_size
        self.erased = b"\xff" * block_size

    def readblocks(self, block, buffer, offset=0):
        self.image.seek(block * self.block_size + offset)
        self.image.readinto(buffer)

    def writeblocks(self, block, buffer, offset=0):
        self.image.seek(block * self.block_size + offset)
        self.image.write(buffer)

    def ioctl(self, request, block):
        if request == 4:
            return self.block_count
        if request == 5:
            return self.block_size
        if request == 6:
            self.writeblocks(block, self.erased)
        return 0


class Control:
    """The socket to the supervisor, inherited as a file descriptor."""

    def __init__(self, descriptor):
        self.line = open(descriptor, "r+b")

    def ask(self, request):
        """Send one octet and wait for the answer; without a supervisor there is no board."""
        self.line.write(request)
        if not self.line.read(1):
            sys.exit(1)

    def end(self, request):
        """Send one octet and wait for the end."""
        micropython.kbd_intr(-1)
        self.line.write(request)
        while self.line.read(1):
            pass
        sys.exit(1)


def mount(flash, read_size, prog_size):
    """Mount the flash at / in place of the host's files; format it if it holds no littlefs."""
    sizes = {"readsize": read_size, "progsize": prog_size}
    try:
        files = vfs.VfsLfs2(flash, **sizes)
    except OSError:
        vfs.VfsLfs2.mkfs(flash, **sizes)
        files = vfs.VfsLfs2(flash, **sizes)
    vfs.umount("/")
    vfs.mount(files, "/")


def show_settings(host):
    """In a network of its own the settings of the kernel are the board's; in no listing."""
    inside = builtins.open

    def opened(name, *how, **more):
        if isinstance(name, str) and name.startswith(_SETTINGS):
            return host.open(name, how[0] if how else "r")
        return inside(name, *how, **more)

    builtins.open = opened


def report(error):
    """Print a traceback without this file's own frames, as hardware prints it."""
    text = io.StringIO()
    sys.print_exception(error, text)
    for line in text.getvalue().splitlines():
        if "_virtual_board.py" not in line and "start.py" not in line:
            print(line)


def run_file(name, scope):
    """Run a file of the board in `scope`, open to Ctrl-C; false if it raised, with its report."""
    try:
        with open(name) as file:
            source = file.read()
    except OSError:
        return True
    scope["__file__"] = name
    try:
        code = compile(source, name, "exec")
        micropython.kbd_intr(3)  # hardware compiles with Ctrl-C off, too
        exec(code, scope)
    except SystemExit:
        raise
    except BaseException as error:
        micropython.kbd_intr(-1)
        report(error)
        return False
    micropython.kbd_intr(-1)
    return True


def run(scope):
    """Boot. `scope` is the namespace of boot.py, main.py and the REPL."""
    micropython.kbd_intr(-1)
    image, terminal, *numbers = sys.argv[1:]
    unique_id = bytes.fromhex(numbers.pop())
    control, blocks, block_size, read_size, prog_size, cause, with_main, own = map(int, numbers)
    host = vfs.VfsPosix()
    flash = Flash(host.open(image, "r+b"), blocks, block_size)
    # A session leader's first terminal becomes its controlling one: when the supervisor dies, by
    # whatever cause, the kernel hangs the terminal up and this process ends.
    flash.lifeline = host.open(terminal, "r+b")
    control = Control(control)
    machine._request = control.end
    machine._unique_id = unique_id
    machine._cause = cause
    mount(flash, read_size, prog_size)
    if own:
        show_settings(host)
    sys.path[:] = ["", ".frozen", "/lib"]
    sys.argv.clear()
    del sys.modules["_virtual_board"]
    del scope["_virtual_board"]
    control.ask(b"M")
    try:
        if run_file("boot.py", scope) and with_main:
            run_file("main.py", scope)
    except SystemExit:
        control.end(b"S")
    control.ask(b"P")
