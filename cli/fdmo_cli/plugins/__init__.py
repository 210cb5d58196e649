"""``fdmo plugins``: what is installed, whether it keeps to its contract, and how to write one."""
