"""What a study will take and what it will decide, before it is paid for."""
