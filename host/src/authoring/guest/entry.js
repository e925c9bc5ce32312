// Stands between the host and the author's object: an exception becomes an error that carries its stack, instead of a trap.

import { INTERFACE as authors } from "./AUTHORS_FILE";
import { state } from "./twinhost_state.js";

const guarded = (method) =>
  function (...values) {
    state.started = true;
    try {
      return method.apply(authors, values);
    } catch (thrown) {
      // The interface's own errors have a kind.
      if (thrown !== null && typeof thrown === "object" && "kind" in thrown) throw thrown;
      const stack = thrown instanceof Error ? `\n${thrown.stack}` : "";
      throw { kind: "internal", field: undefined, message: `${thrown}${stack}` };
    }
  };

export const INTERFACE = Object.fromEntries(Object.entries(authors).map(([name, method]) => [name, guarded(method)]));
