"""Pairs of nodes: which are candidates, and what is known of each from the remaining network and the nodes' attributes.

numpy and compiled loops over a network in memory, no Spark: preparation and scoring hand blocks of pairs to the same
functions, on one machine or in the tasks of a cluster. Every number of a pair is a function of the pair, the network
and the seed alone, added up in the order of node numbers, so it is the same bit for bit in whatever block it is made.
"""
