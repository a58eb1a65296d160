"""The files of checkpoints, read without torch: headers, what a folder must hold, sums and conventions."""
