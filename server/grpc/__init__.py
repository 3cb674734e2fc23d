"""The gRPC face of the service: decode, call, encode."""
