"""How fast it is: `scripts/bench`.

Figures are of this machine at this moment, other programs included. So each rate is compared with what the processors
could do at best, which is measured in the same run, right before and right after it.
"""
