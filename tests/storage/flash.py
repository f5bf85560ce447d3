"""A NOR flash in memory for MicroPython's VfsLfs2: counts, tears, fails. Runs under MicroPython.

An erase sets a block to ones; a program clears bits and is refused where a bit would have to rise.
`hook(flash, block, offset, data)` is called before each operation takes effect (`data` is None for
an erase), so that a test can boot from what a power cut would leave at that very moment.
"""

BLOCK = 4096
GEOMETRY = {  # what rp2's and ESP32's own firmware give to littlefs
    "rp2": {"readsize": 32, "progsize": 256, "lookahead": 128},
    "esp32": {"readsize": 32, "progsize": 32, "lookahead": 128},
}
EIO = 5

_BLOCK_COUNT, _BLOCK_SIZE, _BLOCK_ERASE = 4, 5, 6  # ioctl operations of vfs.AbstractBlockDev


class Noise:
    """Octets that look random and are the same in every run (Marsaglia's xorshift, 32 bits)."""

    def __init__(self, seed):
        self._state = seed or 1

    def below(self, bound):
        """A number from 0 to bound - 1."""
        x = self._state
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self._state = x
        return x % bound

    def octets(self, count):
        """`count` octets."""
        return bytes([self.below(256) for _ in range(count)])


class Flash:
    """The block device. `failing(block, data)` may return an error number for an operation."""

    def __init__(self, blocks, image=None, hook=None):
        self.image = bytearray(image) if image else bytearray(b"\xff" * (blocks * BLOCK))
        self.blocks = blocks
        self.hook = hook
        self.failing = None
        self.stuck = {}  # block -> offset of an octet that an erase no longer raises
        self.weak = {}  # block -> offset of an octet that a program no longer lowers
        self.erases = [0] * blocks
        self.programs = 0
        self.octets = 0

    def readblocks(self, block, buffer, offset=0):
        start = block * BLOCK + offset
        buffer[:] = memoryview(self.image)[start : start + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        if self.hook:
            self.hook(self, block, offset, buffer)
        if self.failing:
            error = self.failing(block, buffer)
            if error:
                return -error
        self.programs += 1
        self.octets += len(buffer)
        weak = self.weak.get(block, -1) - offset
        if 0 <= weak < len(buffer):
            buffer = bytearray(buffer)
            buffer[weak] = 0xFF
        program(self.image, block * BLOCK + offset, buffer)
        return 0

    def ioctl(self, operation, argument):
        if operation == _BLOCK_COUNT:
            return self.blocks
        if operation == _BLOCK_SIZE:
            return BLOCK
        if operation != _BLOCK_ERASE:
            return 0
        if self.hook:
            self.hook(self, argument, 0, None)
        if self.failing:
            error = self.failing(argument, None)
            if error:
                return -error
        self.erases[argument] += 1
        start = argument * BLOCK
        self.image[start : start + BLOCK] = b"\xff" * BLOCK
        if argument in self.stuck:
            self.image[start + self.stuck[argument]] = 0
        return 0


def program(image, start, data):
    """Program `data`: bits fall, none rises (littlefs programs erased octets only)."""
    end = start + len(data)
    here = int.from_bytes(image[start:end], "big") & int.from_bytes(data, "big")
    image[start:end] = here.to_bytes(len(data), "big")


def torn(flash, block, offset, data, noise):
    """Images that a power cut in the midst of an operation may leave, as a list of bytearrays."""
    start = block * BLOCK + offset
    images = []
    if data is None:
        half = bytearray(flash.image)  # the erase got through part of the block
        at = noise.below(BLOCK)
        half[start : start + at] = b"\xff" * at
        images.append(half)
        weak = bytearray(flash.image)  # it had raised some bits everywhere
        mask = int.from_bytes(noise.octets(64) * (BLOCK // 64), "big")
        old = int.from_bytes(weak[start : start + BLOCK], "big")
        weak[start : start + BLOCK] = (old | mask).to_bytes(BLOCK, "big")
        images.append(weak)
        return images
    cut = noise.below(len(data))
    part = bytearray(flash.image)  # the first octets are written
    program(part, start, bytes(data[:cut]))
    images.append(part)
    weak = bytearray(part)  # and in the next one only some bits
    program(weak, start + cut, bytes([data[cut] | noise.below(256)]))
    images.append(weak)
    return images
