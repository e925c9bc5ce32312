// Log, granted: `console`.

import { line } from "twinhost:grants/log@1.0.0";

const shown = (value) => (typeof value === "string" ? value : (JSON.stringify(value) ?? String(value)));
const print = (...values) => values.map(shown).join(" ").split("\n").forEach((text) => line(text));
globalThis.console = { ...globalThis.console, log: print, info: print, debug: print, warn: print, error: print };
