"""Find answers and compare them: numbers, LaTeX, programs."""
