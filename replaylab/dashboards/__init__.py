"""A page that shows how the recorders of a store are doing, for browsers and for a notebook's cell."""
