"""Figures that are drawn and dance: clips of any number, size and length, each from its seed.

A figure has a build (`bodies`) and a look (`look`, `scenery`). It is posed in three dimensions by
joint angles (`steps`, `choreography`) or by a motion file (`recorded`), seen from somewhere
(`viewpoints`) and drawn back to front with a `pen` (`drawing`, `heads`, `trunks`, `parts`). `clips`
puts this together; `character` is the figure of the demo.
"""
