"""jnerf labels a whole 3D scene from a handful of clicks (JacobiNeRF, in JAX)."""

__version__ = "0.1.0"
