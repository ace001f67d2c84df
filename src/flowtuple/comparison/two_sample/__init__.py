"""Are two samples drawn from one distribution: statistics, their p-values by permuting events, one verdict."""
