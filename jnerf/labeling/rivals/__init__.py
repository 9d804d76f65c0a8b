"""Rivals: what else could be done with the same clicks."""

# The names that `label.rivals` takes.
RIVALS = ("features", "features-probe", "features-probe-color", "knn", "distilled",
          "distilled-probe", "distilled-probe-color", "semantic-nerf")
