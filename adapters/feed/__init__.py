"""The feed over HTTP: one follower of the log in each process, and everybody who reads along."""
