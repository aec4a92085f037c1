"""Where people read and answer. The only user of slack_bolt and slack_sdk."""
