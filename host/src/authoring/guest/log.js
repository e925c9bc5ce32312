// Log, granted: `console`.

import { line } from "twinhost:grants/log@1.0.0";
import { state } from "./twinhost_state.js";

const shown = (value) => {
  if (value instanceof Error) return value.stack ?? String(value);
  if (typeof value !== "object" || value === null) return String(value);
  try {
    return JSON.stringify(value);
  } catch {
    return String(value);
  }
};

const print = (...values) => {
  if (state.started) values.map(shown).join(" ").split("\n").forEach((text) => line(text));
};
globalThis.console = { ...globalThis.console, log: print, info: print, debug: print, warn: print, error: print };
