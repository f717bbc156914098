"""The gateway's loop, the inbox in front of it, and the codec of the rows that it journals."""
