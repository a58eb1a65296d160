"""Tree searches (REBASE, beam, DVTS, lookahead, MCTS), chains of revisions, and their driver."""
