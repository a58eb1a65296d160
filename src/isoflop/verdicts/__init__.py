"""What a statement about several parts is worth: joint intervals, verdicts, factors of compute."""
