"""A simulated Flashback: the vendor's HTTP interface over made-up traffic."""
