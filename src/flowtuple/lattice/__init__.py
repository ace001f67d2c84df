"""Values as integers, and an explicit density on those integers: grids, bins, context, network, flow."""
