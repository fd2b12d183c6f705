"""What proves a game fair: the generator, the seed, the proof, and what the process can make at all."""
