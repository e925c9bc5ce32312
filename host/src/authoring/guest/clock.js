// Clock, granted: `Date.now` and `performance.now`.

import { monotonic, wall } from "twinhost:grants/clock@1.0.0";

Date.now = () => Number(wall() / 1000000n);
globalThis.performance ??= {};
performance.now = () => Number(monotonic()) / 1e6;
