"""README and the pages of studies, from their templates and committed tables."""
