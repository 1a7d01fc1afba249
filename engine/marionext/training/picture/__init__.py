"""Trains a small model that makes pictures of figures from words and a pose (``... picture``).

It is Stable Diffusion 1.5's classes in small widths: words to tokens (`tokenizer`), tokens and
latents to latents (`networks`), latents to pictures (`autoencoder`). `captions` says in words what
drawn figures wear.
"""
