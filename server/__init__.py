"""The service: gRPC in front, one sequencer, a store behind."""
