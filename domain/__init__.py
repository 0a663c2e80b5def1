"""What the business decides: pure aggregates, their events, and nothing of the outside world."""
