"""Sending events to addresses that strangers chose: what is sent, how it is signed, and where it may go."""
