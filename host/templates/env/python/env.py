"""Environment: a point in the plane that has to reach a goal.

The class implements the interface `simulation` of the sandbox; what the host calls, when, and with which shapes is described there
(plugin-api/wit/v1/env.wit). All environments of the batch live in this one instance.
"""

import json
import math
import random

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.simulation import StepResult
from wit_world.imports.types import Batch, Error, ErrorKind, Tensor, Texts, Values_Float32

# Largest motion of one control step, and distance from the goal that counts as there.
STEP, NEAR = 0.1, 0.05


class Point:
    """One environment. Its episodes follow from the seed and the episode's number, and from nothing else."""

    def __init__(self, seed):
        self.seed, self.episode = seed, 0
        self.begin()

    def begin(self):
        draw = random.Random(f"{self.seed} {self.episode}")
        self.x, self.y, self.goal_x, self.goal_y = (draw.uniform(-1.0, 1.0) for _ in range(4))
        self.steps, self.over, self.success = 0, False, False
        self.episode += 1

    def distance(self):
        return math.hypot(self.x - self.goal_x, self.y - self.goal_y)

    def features(self):
        return [self.x, self.y, self.goal_x, self.goal_y]


class Simulation(exports.Simulation):
    def configure(self, config, seed):
        """Called once and first, with the recipe's `config` as JSON."""
        settings = {"num_envs": 4, "max_episode_steps": 50} | json.loads(config)
        self.num_envs, self.limit = settings["num_envs"], settings["max_episode_steps"]
        for field in ("num_envs", "max_episode_steps"):
            if not (isinstance(settings[field], int) and settings[field] > 0):
                raise Err(Error(ErrorKind.CONFIG, field, f"must be a whole number > 0, got {settings[field]}"))
        self.points, self.auto_reset = [], False
        return json.dumps(
            {
                "kind": "Simulated",
                "num_envs": self.num_envs,
                "observation": [{"name": "observation.state", "dtype": "F32", "shape": [4]}],
                "action": {"names": ["dx", "dy"], "low": [-1.0, -1.0], "high": [1.0, 1.0], "discrete": [False, False]},
                "control_hz": 10.0,
                "max_episode_steps": self.limit,
                "variants": ["train"],
            }
        )

    def reset(self, request):
        if len(request.seeds) != self.num_envs:
            raise Err(Error(ErrorKind.INPUT, None, f"{len(request.seeds)} seeds for {self.num_envs} environments"))
        if request.task_variant not in ("", "train"):
            raise Err(Error(ErrorKind.INPUT, None, f"unknown variant `{request.task_variant}` (there is: train)"))
        self.points, self.auto_reset = [Point(seed) for seed in request.seeds], request.auto_reset
        return self.observed([point.features() for point in self.points])

    def step(self, actions, steps):
        if len(actions) != self.num_envs * steps * 2 or not self.points:
            raise Err(Error(ErrorKind.INPUT, None, f"actions must be [{self.num_envs}, C, 2], after a reset"))
        if not all(math.isfinite(a) for a in actions):
            raise Err(Error(ErrorKind.NUMERICAL, None, "an action is not finite"))
        rewards, terminated, truncated, success = [], bytearray(), bytearray(), bytearray()
        last, any_ended = [], False
        for row, point in enumerate(self.points):
            ended = False
            for step in range(steps):
                # After the end of an episode nothing is executed and nothing is earned.
                if point.over:
                    rewards.append(0.0)
                    terminated.append(0)
                    truncated.append(0)
                    continue
                dx, dy = (max(-1.0, min(1.0, a)) for a in actions[2 * (row * steps + step) :][:2])
                point.x += STEP * dx
                point.y += STEP * dy
                point.steps += 1
                there = point.distance() < NEAR
                late = not there and point.steps >= self.limit
                point.success |= there
                point.over = ended = there or late
                rewards.append(1.0 if there else -point.distance() / self.limit)
                terminated.append(there)
                truncated.append(late)
            success.append(point.success)
            last.append(point.features())
            any_ended |= ended
            if point.over and self.auto_reset:
                point.begin()
        return StepResult(
            observation=self.observed([point.features() for point in self.points]),
            rewards=rewards,
            terminated=bytes(terminated),
            truncated=bytes(truncated),
            success=bytes(success),
            final_observation=self.observed(last) if any_ended else None,
        )

    def render(self, env, camera, width, height):
        raise Err(Error(ErrorKind.UNSUPPORTED, None, "this environment does not render"))

    def save_state(self):
        points = [[p.seed, p.episode, p.x, p.y, p.goal_x, p.goal_y, p.steps, p.over, p.success] for p in self.points]
        return json.dumps({"points": points, "auto_reset": self.auto_reset}).encode()

    def load_state(self, state):
        saved = json.loads(state)
        self.auto_reset, self.points = saved["auto_reset"], []
        for seed, episode, x, y, goal_x, goal_y, steps, over, success in saved["points"]:
            point = Point(seed)
            point.episode, point.x, point.y, point.goal_x, point.goal_y = episode, x, y, goal_x, goal_y
            point.steps, point.over, point.success = steps, over, success
            self.points.append(point)

    def observed(self, rows):
        values = [x for row in rows for x in row]
        state = Tensor("observation.state", [self.num_envs, 4], Values_Float32(values))
        return Batch(self.num_envs, [state], [Texts("task", ["reach the goal"] * self.num_envs)])
