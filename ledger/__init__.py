"""The domain: identifiers, events, rules, chains, the tree, the audit. Pure: no I/O, no clock, no randomness."""
