"""The parts of a recorder: what it answers, what it knows, its files, and who writes, keeps and seals them."""
