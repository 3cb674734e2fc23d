"""The HTTP read side: the log as files that anybody can fetch, cache and verify (C2SP tlog-tiles)."""
