"""The built-in plugins; they use only what a stranger's plugin can use."""
