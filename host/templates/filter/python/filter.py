"""Filter: no step may move the gripper farther than `longest`, and none may go further down below `floor`.

A filter makes a motion smaller or forbids it (a veto), and nothing else; the host checks that. What it calls, when, and with which shapes is
described in the interface `monitoring` (plugin-api/wit/v1/filter.wit).
"""

import json
import math

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.monitoring import Verdict, Veto
from wit_world.imports.types import Error, ErrorKind


class Monitoring(exports.Monitoring):
    def configure(self, config, environment, seed):
        """Called once and first, with the recipe's `config` as JSON."""
        settings = {"longest": 0.5, "floor": 0.02} | json.loads(config)
        # Longest translation of one control step, in units of the action.
        self.longest = float(settings["longest"])
        # Height of the gripper below which it may not go further down, m.
        self.floor = float(settings["floor"])
        if not 0.0 < self.longest < math.inf:
            raise Err(Error(ErrorKind.CONFIG, "longest", f"must be a finite number > 0, got {self.longest}"))
        return json.dumps({"needs": ["observation.state"]})

    def reset(self, rows):
        """New episodes begin in these rows; this filter remembers nothing."""

    def review(self, observation, action, steps):
        """The action to send instead, and the rows that must not move."""
        [state] = observation.tensors
        rows, width = state.shape
        dim = len(action) // max(rows * steps, 1)
        action, vetoes = list(action), []
        for row in range(rows):
            height = state.values.value[row * width + 2]
            at = [(row * steps + step) * dim for step in range(steps)]
            # Written so that a height that is not a number is too low.
            if not height >= self.floor and any(action[i + 2] < 0.0 for i in at):
                vetoes.append(Veto(row, f"the gripper is at {height} m, below {self.floor} m, and would go down"))
            for i in at:
                length = math.hypot(*action[i : i + 3])
                if length > self.longest:
                    action[i : i + 3] = [x * self.longest / length for x in action[i : i + 3]]
        return Verdict(action, vetoes)
