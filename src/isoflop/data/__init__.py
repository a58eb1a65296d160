"""Problems, where they come from, and published solutions."""
