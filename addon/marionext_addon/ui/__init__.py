# SPDX-License-Identifier: GPL-3.0-or-later
"""What is seen: panels, lists, the overlay, the preferences' page, shortcuts."""
