"""The paper's tables and figures: what is run for them, and how the result is shown."""
