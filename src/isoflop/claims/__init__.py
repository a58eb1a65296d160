"""What the two papers claim and what a headline tells, tested on a study."""
