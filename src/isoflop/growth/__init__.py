"""What of a table is finished already: which rows are the same, where they lie, how they are put together."""
