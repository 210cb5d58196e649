"""What artificial features are made of, and how near they come to real ones."""
