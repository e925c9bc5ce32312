"""Reward: 1 - tanh(scale * distance), the nearer the gripper is to a goal, the more.

The class implements the interface `scoring` of the sandbox; what the host calls, when, and with which shapes is described there
(plugin-api/wit/v1/reward.wit). There are no files, no clock and no network here: a score is a function of what is passed in.
"""

import json
import math

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.scoring import Metric, Scores
from wit_world.imports.types import Error, ErrorKind


class Scoring(exports.Scoring):
    def configure(self, config, environment, seed):
        """Called once and first, with the recipe's `config` as JSON."""
        settings = {"goal": [0.5, 0.0, 0.1], "scale": 5.0}
        for field, value in json.loads(config).items():
            if field not in settings:
                raise Err(Error(ErrorKind.CONFIG, field, f"unknown field (there are: {', '.join(settings)})"))
            settings[field] = value
        # Position the gripper should reach, m.
        self.goal = [float(x) for x in settings["goal"]]
        # How quickly the reward falls with the distance, 1/m.
        self.scale = float(settings["scale"])
        if len(self.goal) != 3:
            raise Err(Error(ErrorKind.CONFIG, "goal", f"must have 3 entries, got {len(self.goal)}"))
        if not 0.0 < self.scale < math.inf:
            raise Err(Error(ErrorKind.CONFIG, "scale", f"must be a finite number > 0, got {self.scale}"))
        return json.dumps({"needs": ["observation.state"], "decides_success": False})

    def reset(self, rows):
        """New episodes begin in these rows; this reward remembers nothing."""

    def score(self, transition, steps):
        """One reward for each of the `steps` control steps of every row."""
        [state] = transition.tensors
        width = state.shape[1]
        rewards, distances = [], []
        for row in range(transition.rows):
            position = state.values.value[row * width : row * width + 3]
            distance = math.dist(position, self.goal)
            if not math.isfinite(distance):
                raise Err(Error(ErrorKind.NUMERICAL, None, f"row {row}: the position {position} is not finite"))
            distances.append(distance)
            rewards += [1.0 - math.tanh(self.scale * distance)] * steps
        metrics = [Metric("distance", sum(distances) / len(distances))] if distances else []
        return Scores(rewards=rewards, done=b"", success=b"", metrics=metrics)
