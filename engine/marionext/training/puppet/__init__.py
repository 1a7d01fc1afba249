"""Training of the built-in ``puppet``: autoencoder, control network, then everything for video.

`commands` is the command line, `networks` the architecture, `initial` how it begins, `vae`,
`control` and `video` the three trainings in their order, `export` the bundle they end in.
"""
