"""Where the numbers come from. The only user of httpx."""
