"""Postgres: the event store, the read models' tables and everything else that must survive."""
