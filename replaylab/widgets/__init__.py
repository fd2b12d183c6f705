"""Views: what a notebook shows of a game, and the picture and page that stand in for it elsewhere."""
