"""What a host asks a board over the serial line: in memory while somebody talks, no longer."""
