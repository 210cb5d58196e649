"""Artificial features and their sources as text, as a contact sheet and as a map."""
