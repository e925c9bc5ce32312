// Reward: 1 - tanh(scale * distance), the nearer the gripper is to a goal, the more.
//
// The object implements the interface `scoring` of the sandbox; what the host calls, when, and with which shapes is described there
// (plugin-api/wit/v1/reward.wit). There are no files, no clock and no network here: a score is a function of what is passed in.

// Position the gripper should reach, m; how quickly the reward falls with the distance, 1/m.
let goal, scale;

const refuse = (kind, field, message) => {
  throw { kind, field, message };
};

export const scoring = {
  // Called once and first, with the recipe's `config` as JSON.
  configure(config, environment, seed) {
    const settings = { goal: [0.5, 0.0, 0.1], scale: 5.0 };
    for (const [field, value] of Object.entries(JSON.parse(config))) {
      if (!(field in settings)) refuse("config", field, `unknown field (there are: ${Object.keys(settings).join(", ")})`);
      settings[field] = value;
    }
    ({ goal, scale } = settings);
    if (goal.length !== 3) refuse("config", "goal", `must have 3 entries, got ${goal.length}`);
    if (!(scale > 0 && Number.isFinite(scale))) refuse("config", "scale", `must be a finite number > 0, got ${scale}`);
    return JSON.stringify({ needs: ["observation.state"], decides_success: false });
  },

  // New episodes begin in these rows; this reward remembers nothing.
  reset(rows) {},

  // One reward for each of the `steps` control steps of every row.
  score(transition, steps) {
    const [state] = transition.tensors;
    const width = state.shape[1];
    const rewards = new Float32Array(transition.rows * steps);
    let sum = 0;
    for (let row = 0; row < transition.rows; row++) {
      const distance = Math.hypot(...goal.map((entry, i) => state.values.val[row * width + i] - entry));
      if (!Number.isFinite(distance)) refuse("numerical", undefined, `row ${row}: the position is not finite`);
      sum += distance;
      rewards.fill(1 - Math.tanh(scale * distance), row * steps, (row + 1) * steps);
    }
    const metrics = transition.rows > 0 ? [{ name: "distance", value: sum / transition.rows }] : [];
    return { rewards, done: new Uint8Array(), success: new Uint8Array(), metrics };
  },
};
