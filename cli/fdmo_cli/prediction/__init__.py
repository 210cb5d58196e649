"""What ``fdmo predict`` is made of: files, images ahead of the session, lines, and the output."""
