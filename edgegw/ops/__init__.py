"""What an operator sees of the daemon: logs, and how late it runs."""
