// Clock, granted: `Date.now` and `performance.now`.

import { monotonic, wall } from "twinhost:grants/clock@1.0.0";
import { state } from "./twinhost_state.js";

const date = Date.now;
Date.now = () => (state.started ? Number(wall() / 1000000n) : date());
globalThis.performance ??= {};
performance.now = () => (state.started ? Number(monotonic()) / 1e6 : 0);
