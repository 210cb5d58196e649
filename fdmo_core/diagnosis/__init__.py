"""What a feature space says of its imbalance, and of what would help against it."""
