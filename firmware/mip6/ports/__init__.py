"""What each platform does its own way: uplinks, raw IPv6, files, reboot; one file a platform.

`agent` asks board.py for the port of the platform it runs on; a service brings its own.
"""
