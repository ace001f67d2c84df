"""Flows over rows, on zuko: MAF, splines, coupling, RealNVP, flow matching. Everything here needs PyTorch."""
