"""What is shown: sentences, tables, HTML."""
