"""All programs of a Linux node use the home address, by the kernel's own Mobile IPv6."""
