# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the interface in simplified Chinese."""

CHINESE: dict[str, str] = {}
