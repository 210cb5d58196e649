"""The fdmo command."""
