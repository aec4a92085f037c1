"""A simulated Flashback and a local Slack look-alike, for `alertbot demo` and for the tests."""
