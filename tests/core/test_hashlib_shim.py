"""firmware/lib/hashlib: sha1 for builds that have none, the native one wherever there is one."""

import hashlib as native
import sys

from harness import here, on_micropython, raises


def shim(builtin=None):
    """The package firmware/lib/hashlib and its _sha1, imported beside the interpreter's own.

    `builtin` is a module to stand for a build's own `uhashlib`.
    """
    if builtin:
        sys.modules["uhashlib"] = builtin
    folder = here() + "/../firmware/lib"
    kept = sys.modules.pop("hashlib", None)
    sys.path.insert(0, folder)
    try:
        package = __import__("hashlib")
        module = __import__("hashlib._sha1", None, None, ("sha1",))
    finally:
        sys.path.remove(folder)
        for name in ("hashlib", "hashlib._sha1", "uhashlib"):
            sys.modules.pop(name, None)
        if kept:
            sys.modules["hashlib"] = kept
    return package, module.sha1


PACKAGE, SHA1 = shim()

RFC_3174 = (  # section 7.3: text, repetitions, digest
    (b"abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
    (
        b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        1,
        "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
    ),
    (
        b"0123456701234567012345670123456701234567012345670123456701234567",
        10,
        "dea356a2cddd90c7a7ecedc5ebb563934f460452",
    ),
)
MILLION_A = "34aa973cd4c4daa4f61eeb2bdbad27316534016f"


def octets(count, seed):
    """Octets that differ from one seed to the next, the same in every run."""
    made = bytearray()
    while len(made) < count:
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        made.append(seed >> 16 & 255)
    return bytes(made)


def test_vectors_of_rfc_3174():
    for text, times, digest in RFC_3174:
        hashed = SHA1()
        for _ in range(times):
            hashed.update(text)
        assert hashed.hexdigest() == digest
    assert SHA1(b"").hexdigest() == "da39a3ee5e6b4b0d3255bfef95601890afd80709"


def test_a_million_times_a():
    """RFC 3174's TEST2: only where it takes seconds, not a minute."""
    if on_micropython():
        hashed, native_hash = SHA1(b"a" * 20000), native.sha1(b"a" * 20000)
        assert hashed.digest() == native_hash.digest()
    else:
        assert SHA1(b"a" * 1000000).hexdigest() == MILLION_A


def test_every_length_to_200_and_random_lengths():
    lengths = list(range(201)) + [n * 37 % 1500 for n in range(60)]
    for length in lengths:
        data = octets(length, length + 1)
        assert SHA1(data).digest() == native.sha1(data).digest(), length


def test_pieces_make_the_same_as_the_whole():
    data = octets(700, 5)
    whole = native.sha1(data).digest()
    for size in (1, 3, 19, 63, 64, 65, 128, 300):
        hashed = SHA1()
        for start in range(0, len(data), size):
            hashed.update(memoryview(data)[start : start + size])
        assert hashed.digest() == whole


def test_digest_and_copy_leave_the_object_usable():
    hashed = SHA1(b"ab")
    hashed.digest()
    other = hashed.copy()
    hashed.update(b"c")
    other.update(b"d")
    assert hashed.hexdigest() == RFC_3174[0][2]
    assert other.digest() == native.sha1(b"abd").digest()


def test_the_native_one_is_preferred():
    if on_micropython():
        import uhashlib

        assert PACKAGE.sha1 is uhashlib.sha1
        assert PACKAGE.sha256 is uhashlib.sha256
    else:  # no `uhashlib` here: the shim stands in
        assert PACKAGE.sha1 is SHA1


def test_a_build_without_sha1_gets_ours():
    import errno  # a built-in module that has no sha1

    package, own = shim(errno)
    assert package.sha1 is own
    assert package.new("sha1", b"abc").hexdigest() == RFC_3174[0][2]


def test_new_finds_by_name():
    assert PACKAGE.new("sha1", b"abc").digest() == native.sha1(b"abc").digest()
    raises(ValueError, PACKAGE.new, "md4")
