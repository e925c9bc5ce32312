"""Policy: moves straight towards a goal, a baseline to compare with.

The class implements the interface `acting` of the sandbox; what the host calls, when, and with which shapes is described there
(plugin-api/wit/v1/policy.wit).
"""

import json
import math

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import Error, ErrorKind

# Entries of observation.state; a state of another size is another arm's.
WIDTH = 8


class Acting(exports.Acting):
    def configure(self, config, environment, seed):
        """Called once and first, with the recipe's `config` and the environment's description as JSON."""
        settings = {"goal": [0.5, 0.0, 0.1], "gain": 2.0} | json.loads(config)
        # Position the gripper should reach, m.
        self.goal = [float(x) for x in settings["goal"]]
        # Action per metre of distance.
        self.gain = float(settings["gain"])
        if not 0.0 < self.gain < math.inf:
            raise Err(Error(ErrorKind.CONFIG, "gain", f"must be a finite number > 0, got {self.gain}"))
        # Translation, rotation and gripper; one control step per call.
        return json.dumps({"action_dim": 7, "chunk": 1, "observation": ["observation.state"], "texts": [], "differentiable": False})

    def reset(self, rows, seeds):
        """New episodes begin in these rows; this policy remembers nothing."""

    def act(self, observation, seed, greedy):
        """[B, C, A], here C = 1 and A = 7."""
        [state] = observation.tensors
        if state.shape[1:] != [WIDTH]:
            raise Err(Error(ErrorKind.INPUT, None, f"`observation.state` must be [B, {WIDTH}], got {state.shape}"))
        actions = []
        for row in range(observation.rows):
            position = state.values.value[row * WIDTH : row * WIDTH + 3]
            towards = [max(-1.0, min(1.0, self.gain * (goal - x))) for goal, x in zip(self.goal, position)]
            if not all(math.isfinite(x) for x in position):
                raise Err(Error(ErrorKind.NUMERICAL, None, f"row {row}: the position {position} is not finite"))
            actions += [*towards, 0.0, 0.0, 0.0, -1.0]
        return actions
