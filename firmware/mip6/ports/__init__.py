"""One file per platform: uplinks, raw IPv6, storage. Imported only by node.py and main.py."""
