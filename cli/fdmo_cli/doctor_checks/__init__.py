"""What ``fdmo doctor`` looks at, one function a check."""
