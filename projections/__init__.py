"""What a user can see: read models, each the fold of the log into rows that remember."""
