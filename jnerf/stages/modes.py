"""The modes of the command: each runs its stages and says where the results are.

`run` does every stage that the folder does not hold yet. A mode named after a
stage of training keeps what is done; `propagate` and `evaluate` are quick and are
done anew, so that other clicks or methods can be tried on the same fields.

A mode first checks all that can be checked; only then does it write.
"""

from __future__ import annotations

from jnerf.stages.evaluate import evaluate
from jnerf.stages.features import features
from jnerf.stages.fit import fit
from jnerf.stages.inspect import inspect
from jnerf.stages.propagate import propagate
from jnerf.stages.render import render
from jnerf.stages.run import run
from jnerf.stages.shape import shape

# Name to `(Run) -> str`, what the command prints at the end.
MODES = {"run": run, "inspect": inspect, "features": features, "fit": fit, "shape": shape,
         "propagate": propagate, "evaluate": evaluate, "render": render}
