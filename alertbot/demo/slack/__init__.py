"""A look-alike of Slack: its Web API, Socket Mode and what the browser shows."""
