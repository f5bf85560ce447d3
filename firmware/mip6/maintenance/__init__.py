"""What start, technician and key changes need of a platform: in memory then, no longer."""
