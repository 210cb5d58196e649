"""Weights that somebody else trained: files of them, and the part of a model that they are for."""
