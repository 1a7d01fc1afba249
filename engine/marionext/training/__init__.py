"""Training: the built-in model from nothing, and any model on clips of your own.

``figures`` draws dancing figures, which both learn from. ``puppet`` trains the built-in model on
them (``python -m marionext.training``); ``finetune`` is ``marionext train``. Those two do not know
each other. What they share is here: checkpoints, batches made ahead, faster forms of a UNet,
and control networks without biases.
"""
