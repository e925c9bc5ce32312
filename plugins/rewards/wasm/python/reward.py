"""The native reward `reach` (plugins/rewards/src/reach.rs) in Python: the same formula, in f64 and in the same order."""

import json
import math

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.scoring import Scores
from wit_world.imports.types import Error, ErrorKind


def length(x, y, z):
    return math.sqrt(x * x + y * y + z * z)


class Scoring(exports.Scoring):
    def configure(self, config, environment, seed):
        settings = {"goal": [0.5, 0.0, 0.1], "scale": 5.0, "radius": 0.05}
        for field, value in json.loads(config).items():
            if field not in settings:
                raise Err(Error(ErrorKind.CONFIG, field, f"unknown field `{field}`, there are {', '.join(settings)}"))
            settings[field] = value
        self.goal, self.scale, self.radius = settings["goal"], settings["scale"], settings["radius"]
        if len(self.goal) != 3:
            raise Err(Error(ErrorKind.CONFIG, "goal", f"must be three numbers, got {self.goal}"))
        if not 0 < self.scale < math.inf:
            raise Err(Error(ErrorKind.CONFIG, "scale", f"must be a finite number > 0, got {self.scale}"))
        if not 0 <= self.radius < math.inf:
            raise Err(Error(ErrorKind.CONFIG, "radius", f"must be a finite number >= 0, got {self.radius}"))
        return json.dumps({"needs": ["observation.state", "action"], "decides_success": False})

    def reset(self, rows):
        pass

    def score(self, transition, steps):
        state, action = transition.tensors
        width, dim = state.shape[1], action.shape[2]
        states, actions = state.values.value, action.values.value
        (gx, gy, gz), scale, tanh = self.goal, self.scale, math.tanh
        rewards, at = [], 0
        for row in range(transition.rows):
            x, y, z = states[row * width : row * width + 3]
            distance = length(x - gx, y - gy, z - gz)
            reaching = 1.0 - tanh(scale * distance)
            for _ in range(steps):
                motion = length(*actions[at : at + 3])
                at += dim
                resting = 1.0 - tanh(scale * motion) if distance <= self.radius else 0.0
                reward = (reaching + resting) / 2.0
                if not (math.isfinite(reward) and math.isfinite(motion)):
                    message = f"the distance is {distance} and the action's length {motion}, which must be finite"
                    raise Err(Error(ErrorKind.NUMERICAL, None, message))
                rewards.append(reward)
        return Scores(rewards, b"", b"", [])
