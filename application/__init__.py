"""What a user can ask for: commands, their handlers, and the ports through which they reach the outside."""
