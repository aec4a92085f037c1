"""`python -m alertbot`."""

from alertbot.cli import main

main()
