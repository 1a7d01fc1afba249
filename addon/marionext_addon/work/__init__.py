# SPDX-License-Identifier: GPL-3.0-or-later
"""From a press of the button to pictures: shots, job folders, the engine, and what comes back."""
