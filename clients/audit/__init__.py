"""An audit at a distance: a whole log judged from its tiles, with a memory and with all processors."""
