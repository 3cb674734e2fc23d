"""A log's tiles over HTTP (C2SP tlog-tiles), from servers that may be slow, broken or hostile."""
