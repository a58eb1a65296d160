"""The command lines: the only modules that read and write files."""
