"""Solutions that exist: what the config says of their files, and what that must be to the rest of a study."""
