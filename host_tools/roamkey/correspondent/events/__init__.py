"""What happened at a correspondent, kept for a while: see `kinds`, `recorder`, `file`."""
