# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's scene, only read: who moves, who looks, and the motion as it is evaluated."""
