"""``fdmo compare``: which methods there are, how they are run, and how the result is shown."""
