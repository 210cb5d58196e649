"""What the readers of annotated data sets share: items with boxes and landmarks."""
