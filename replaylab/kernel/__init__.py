"""The optional C kernel: reads lines of known layout and digests rows, several times as fast as numpy. See kernel.h.

Without a compiler at installation there is no library here, and `library.load` returns None: everything works as well,
slower, by the numpy road that the kernel is tested against.
"""
