"""Pictures from words, steered by ControlNeXt, on the stock pipelines of Stable Diffusion."""
