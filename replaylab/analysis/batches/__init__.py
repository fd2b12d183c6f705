"""The parts of a batch: what is to be done, who does it, what is known already, and what came out."""
