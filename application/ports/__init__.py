"""What the application needs of the outside, as Protocols."""
