"""alertbot watches the numbers of Flashback and tells Slack when they break a rule."""

__version__ = "0.1.0"
