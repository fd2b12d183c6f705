"""Models: rows to learn from, folds that never part a game, and games like this one."""
