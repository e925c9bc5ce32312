// Log, not asked for: `console` says so instead of swallowing the line.

import { state } from "./twinhost_state.js";

const refuse = () => {
  if (!state.started) return;
  throw new Error("a project prints into the host's log if its plugin.ron says `asks: [Log]` and the user grants it; a single file cannot print");
};
const printing = ["log", "info", "debug", "warn", "error", "trace", "table", "dir"];
globalThis.console = { ...globalThis.console, ...Object.fromEntries(printing.map((name) => [name, refuse])) };
