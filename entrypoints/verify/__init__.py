"""What verifies a log without anything of Rollbook's."""
