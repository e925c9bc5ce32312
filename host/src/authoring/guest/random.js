// Random, granted: `Math.random`.

import { word } from "twinhost:grants/random@1.0.0";

Math.random = () => Number(word() >> 11n) / 2 ** 53;
