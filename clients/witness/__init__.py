"""The witness: a small service that cosigns what a log has signed, as long as the log only grows."""
