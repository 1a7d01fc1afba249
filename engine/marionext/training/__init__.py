"""Training: what is built in from nothing, and any model on clips or pictures of your own.

``figures`` draws dancing figures, which all learn from. ``puppet`` trains the built-in model on
them, ``doll`` the network that mends the doll's warp, ``picture`` a model that makes pictures from
words and a pose (``python -m marionext.training``); ``finetune`` and ``lora`` are
``marionext train``, on videos and on pictures. Those do not know each other. What they share is
here: the course of a training in its folder, its steps, checkpoints and curve, batches made ahead,
optimisers, faster forms of a UNet, and control networks without biases.
"""
