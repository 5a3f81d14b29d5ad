"""How are many values made into few, in blocks, with little memory: sums, extremes, percentiles, trends.

A reduction is a `kernel` (partial of a block, combination of partials, end), laid over the `tiles` of a selection by an
engine. The kernels know no store, no job and no engine: any engine that runs them gives the same answers.
"""
