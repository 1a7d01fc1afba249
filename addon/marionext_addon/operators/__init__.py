# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done, by a button, a shortcut, a script or a farm's command line."""
