"""The cells of grids that do not lie on two axes: where their centres are, and which of them is nearest to a place."""
