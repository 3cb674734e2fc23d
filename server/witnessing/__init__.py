"""The log's side of witnessing: offering checkpoints to witnesses, and publishing what a quorum has cosigned."""
