# SPDX-License-Identifier: GPL-3.0-or-later
"""What the file keeps, what this session shows, what is set for this computer, and the words."""

__all__ = ["ADDON"]

ADDON = __package__.rpartition(".")[0]
"""The add-on's own name: an extension's is longer than ``marionext_addon``."""
