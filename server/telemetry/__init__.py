"""What a running service tells of itself: metrics, traces, and whether it is well."""
