"""Raw IPv6 over lwIP: in memory where a board has native Mobile IPv6, and not switched off."""
