"""A data plane as on a kernel whose devices have no long packets."""

from roamkey.correspondent.dataplane import process


class PlainProcess(process.Process):
    """Its device is one without a virtio-net header."""

    _may_be_wide = False


def main():
    """See `process.main`."""
    process.main(PlainProcess)
