"""The feed: every event of the log, once and in order, in one JetStream stream."""
