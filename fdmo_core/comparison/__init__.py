"""The statistics of a comparison of methods: differences, intervals, tests and verdicts."""
