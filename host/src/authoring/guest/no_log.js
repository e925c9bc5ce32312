// Log, not asked for: `console` says so instead of swallowing the line.

import { state } from "./twinhost_state.js";

const refuse = () => {
  if (state.started) throw new Error("a component prints into the host's log if its plugin.ron says `asks: [Log]` and the user grants it");
};
globalThis.console = { ...globalThis.console, log: refuse, info: refuse, debug: refuse, warn: refuse, error: refuse };
