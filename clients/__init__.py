"""What people and programs use: the SDK, offline verification, the command `suyuan`."""
