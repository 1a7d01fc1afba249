"""The window's words in Chinese, by the English that stands in the code."""

__all__ = ["CHINESE"]

CHINESE: dict[str, str] = {}
