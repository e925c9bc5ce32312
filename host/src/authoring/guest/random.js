// Random, granted: `Math.random`.

import { word } from "twinhost:grants/random@1.0.0";
import { state } from "./twinhost_state.js";

Math.random = () => {
  if (!state.started) throw new Error("random numbers are there from `configure` on: a snapshot is taken of what the module does before");
  return Number(word() >> 11n) / 2 ** 53;
};
