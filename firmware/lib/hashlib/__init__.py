"""hashlib with sha1 where a build has none. What the build has itself is always preferred.

It extends the built-in module as micropython-lib's hashlib does: `uhashlib` is the built-in one,
and each missing algorithm is taken from a file `_<algorithm>.py` in this folder, if there is one.
micropython-lib's own extensions (sha224 to sha512) work from this folder too.
"""

try:
    from uhashlib import *  # noqa: F403
except ImportError:
    pass


def _extend():
    for name in ("sha1", "sha224", "sha256", "sha384", "sha512"):
        if name not in globals():
            try:
                module = __import__("_" + name, globals(), None, (name,), 1)
                globals()[name] = getattr(module, name)
            except ImportError:
                pass


_extend()
del _extend


def new(name, data=b""):
    """A hash object by name; raises ValueError for one that isn't there."""
    found = globals().get(name)
    if found is None:
        raise ValueError(name)
    return found(data)
