"""Domain value → Block Kit blocks. Pure."""
