"""What would run: jobs, paths, specifications, digests, shards."""
