// The native reward `reach` (plugins/rewards/src/reach.rs) in JavaScript: the same formula, in f64 and in the same order.

let goal, scale, radius;

const refuse = (kind, field, message) => {
  throw { kind, field, message };
};
const length = (x, y, z) => Math.sqrt(x * x + y * y + z * z);

export const scoring = {
  configure(config, environment, seed) {
    const settings = { goal: [0.5, 0.0, 0.1], scale: 5.0, radius: 0.05 };
    for (const [field, value] of Object.entries(JSON.parse(config))) {
      if (!(field in settings)) refuse("config", field, `unknown field \`${field}\`, there are ${Object.keys(settings).join(", ")}`);
      settings[field] = value;
    }
    ({ goal, scale, radius } = settings);
    if (goal.length !== 3) refuse("config", "goal", `must be three numbers, got ${goal}`);
    if (!(scale > 0 && Number.isFinite(scale))) refuse("config", "scale", `must be a finite number > 0, got ${scale}`);
    if (!(radius >= 0 && Number.isFinite(radius))) refuse("config", "radius", `must be a finite number >= 0, got ${radius}`);
    return JSON.stringify({ needs: ["observation.state", "action"], decides_success: false });
  },

  reset(rows) {},

  score(transition, steps) {
    const [state, action] = transition.tensors;
    const [width, dim] = [state.shape[1], action.shape[2]];
    const [states, actions] = [state.values.val, action.values.val];
    const rewards = new Float32Array(transition.rows * steps);
    for (let row = 0; row < transition.rows; row++) {
      const s = row * width;
      const distance = length(states[s] - goal[0], states[s + 1] - goal[1], states[s + 2] - goal[2]);
      const reaching = 1 - Math.tanh(scale * distance);
      for (let step = 0; step < steps; step++) {
        const a = (row * steps + step) * dim;
        const motion = length(actions[a], actions[a + 1], actions[a + 2]);
        const resting = distance <= radius ? 1 - Math.tanh(scale * motion) : 0;
        const reward = (reaching + resting) / 2;
        if (!Number.isFinite(reward) || !Number.isFinite(motion)) {
          refuse("numerical", undefined, `the distance is ${distance} and the action's length ${motion}, which must be finite`);
        }
        rewards[row * steps + step] = reward;
      }
    }
    return { rewards, done: new Uint8Array(), success: new Uint8Array(), metrics: [] };
  },
};
