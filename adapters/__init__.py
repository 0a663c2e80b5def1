"""The outside world: databases, brokers, identity providers, and the settings that name them."""
