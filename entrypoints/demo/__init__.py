"""A month of a busy fleet that never was, for whoever wants to see what can be asked of one."""
