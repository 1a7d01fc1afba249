"""The video model: loading, steering, sampling, decoding."""
